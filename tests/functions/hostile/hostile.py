"""A function in Python that tries to get out of its sandbox.

`run` makes the attempts in the body, a line for each, and answers [{"errno": 13, "got": ""}, ...]. The verbs are those
of attempts.c; which attempts are made with them, and what has to come of each, is in tests/hostile/table.rs.
"""

import ctypes
import os
import socket
import subprocess

LAST_PID = 512

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
kept = []


def run(ctx, lines=""):
    return [attempt(line) for line in lines.splitlines()]


def attempt(line):
    verb, *words = line.split("\t")
    try:
        return {"errno": 0, "got": str(VERBS[verb](*words) or "")}
    except Ended as ended:
        return {"errno": ended.errno, "got": str(ended.got)}
    except OSError as error:
        # A time-out of ours has no number.
        return {"errno": error.errno or 110, "got": ""}


class Ended(Exception):
    """Something went on until it did not."""

    def __init__(self, error, got):
        self.errno, self.got = error.errno, got


def read(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(4095).decode("latin-1")


def write(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(file, b"1")
    finally:
        os.close(file)


def tcp(host, port):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        client.settimeout(3)
        client.connect((host, int(port)))


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def bind(name):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + name)
    listener.listen(1)
    kept.append(listener)


def argument(word, process):
    if word.startswith("s:"):
        return ctypes.c_char_p(word[2:].encode())
    if word.startswith("z:"):
        return ctypes.create_string_buffer(int(word[2:]))
    return ctypes.c_long(process if word == "n" else int(word, 0))


def by_number(number, words, process=0):
    given = [argument(word, process) for word in words]
    result = libc.syscall(ctypes.c_long(int(number)), *given, *[ctypes.c_long(0)] * (6 - len(given)))
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def call(number, *words):
    return by_number(number, words)


def others():
    """What might be the number of another process: those of its own threads are not."""
    own = {int(name) for name in os.listdir("/proc/self/task")}
    return (process for process in range(1, LAST_PID + 1) if process not in own)


def each(number, *words):
    def works(process):
        try:
            return by_number(number, words, process) != -1
        except OSError:
            return False

    return " ".join(str(process) for process in others() if works(process))


def peek(name):
    def is_readable(process):
        try:
            return read("/proc/%d/%s" % (process, name)) != ""
        except OSError:
            return False

    return " ".join(str(process) for process in others() if is_readable(process))


def files():
    opened = []
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        raise Ended(error, len(opened)) from None
    finally:
        for file in opened:
            os.close(file)


def names(folder):
    made = 0
    try:
        while True:
            os.close(os.open("%s/name-%d" % (folder, made), os.O_WRONLY | os.O_CREAT))
            made += 1
    except OSError as error:
        raise Ended(error, made) from None
    finally:
        for number in range(made):
            os.unlink("%s/name-%d" % (folder, number))


def space(folder):
    path, written = folder + "/filler", 0
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(b"\0" * 65536)
        except OSError as error:
            raise Ended(error, written) from None
        finally:
            os.unlink(path)


def execute(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout.decode()


def memory(program, *words):
    file = os.memfd_create("hostile", 0)
    try:
        with open(program, "rb") as source:
            os.write(file, source.read())
        return execute("/proc/%d/fd/%d" % (os.getpid(), file), *words)
    finally:
        os.close(file)


VERBS = {
    "read": read,
    "write": write,
    "list": lambda path: " ".join(os.listdir(path)),
    "tcp": tcp,
    "unix": connect_unix,
    "abstract": lambda name: connect_unix("\0" + name),
    "bind": bind,
    "call": call,
    "each": each,
    "peek": peek,
    "files": files,
    "names": names,
    "space": space,
    "run": execute,
    "memory": memory,
}
