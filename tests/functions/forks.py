"""A handler that wants more of everything than it may have, and says how far it came."""

import errno
import os
import signal
import subprocess


def run(ctx, order):
    return ORDERS[order["do"]](order)


def fork(order):
    """Children that wait, until no more are given."""
    forked = 0
    for _ in range(int(order["count"])):
        try:
            pid = os.fork()
        except OSError as error:
            assert error.errno == errno.EAGAIN, error
            break
        if pid == 0:
            while True:
                signal.pause()
        forked += 1
    return {"forked": forked}


def bomb(order):
    """Every process starts two more, in a session of its own, for ever."""
    script = "b() { b | b & }; while :; do b; done"
    subprocess.Popen(
        ["/bin/sh", "-c", script],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return {}


def open_files(order):
    files = []
    try:
        for _ in range(int(order["count"])):
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE, error
    for file in files:
        os.close(file)
    return {"opened": len(files)}


def fill(order):
    written = 0
    with open("/tmp/filler", "wb", buffering=0) as file:
        try:
            for _ in range(int(order["mib"]) * 16):
                written += file.write(b"x" * 65536)
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
    return {"written": written}


ORDERS = {"fork": fork, "bomb": bomb, "open": open_files, "fill": fill}
