"""The fork point: code that is loaded once, and processes that begin behind it.

`wait_to_be_forked` is called when the code is loaded. In a zygote it never returns; each child goes on behind it, makes
ready whatever runs no code of the function, and calls `wait_to_be_let_go` before it serves. What is said on which
descriptor, and what is shared between siblings, stands with the spawner (`protocol/zygote.rs`). Not imported by an
ordinary start.
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import time

from . import ready

# Landlock's calls have these numbers everywhere (landlock(7)).
CREATE_RULESET, RESTRICT_SELF = 444, 446
VERSION_FLAG = 1
MAKE_BLOCK_DEVICE = 1 << 11
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2

MESSAGE_LIMIT = 4096
LEAVING_ROUNDS, LEAVING_PAUSE_S = 50, 0.002
HANDED = 5  # listener, ready pipe, standard output, standard error, control

_libc = ctypes.CDLL(None, use_errno=True)

# Of a child that has not been let go yet.
_control = None


def wait_to_be_forked(descriptor):
    os.set_inheritable(descriptor, False)
    os.set_inheritable(ready.PIPE, False)
    # What is garbage now would be freed in each child, and pages that are written to are shared no longer.
    gc.collect()
    reason = unfit(descriptor)
    if reason is not None:
        ready.unfit(*reason)
    gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    ready.ready()
    _take(ready.PIPE)
    spawner = socket.socket(fileno=descriptor)
    children = {}
    while True:
        data, handed, _, _ = socket.recv_fds(spawner, MESSAGE_LIMIT, HANDED)
        if not data:
            os._exit(0)
        message = json.loads(data)
        if "collect" in message:
            pid = children.pop(message["collect"], None)
            if pid is not None:
                os.waitpid(pid, 0)
            continue
        number = message["fork"]
        try:
            pid = os.fork()
        except OSError as error:
            _refuse(handed[-1], number, error)
            pid = None
        if pid == 0:
            # The descriptor is about to be the listener's; this object must not close it.
            spawner.detach()
            children.clear()
            return _become_child(number, handed)
        for each in handed:
            os.close(each)
        if pid is not None:
            children[number] = pid


def _take(number):
    """Keeps a number from being given to whatever is opened next."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    if null != number:
        os.dup2(null, number, inheritable=False)
        os.close(null)


def _refuse(control, number, error):
    words = json.dumps({"failed": number, "errno": error.errno or 0})
    socket.socket(fileno=os.dup(control)).send(words.encode())


def _become_child(number, handed):
    global _control
    listener, pipe, out, err, control = handed
    control = socket.socket(fileno=control)
    try:
        # Whatever is written to before is charged to the zygote.
        control.send(b'{"here":%d,"prepare":true}' % number)
        if not control.recv(MESSAGE_LIMIT):
            os._exit(0)
        os.setsid()
        for source, target in ((out, 1), (err, 2)):
            os.dup2(source, target)
        for source, target in ((listener, ready.LISTENER), (pipe, ready.PIPE)):
            os.dup2(source, target, inheritable=False)
        for each in (listener, pipe, out, err):
            os.close(each)
        _reseed()
        _enter_own_domain()
    except OSError:
        os._exit(1)
    _control = control


def is_let_go():
    """True when somebody waits for this child already."""
    poll = select.poll()
    poll.register(_control, select.POLLIN)
    return bool(poll.poll(0))


def wait_to_be_let_go():
    global _control
    control, _control = _control, None
    data = control.recv(MESSAGE_LIMIT)
    if not data:
        os._exit(0)
    os.environ["HATCHWAY_SANDBOX"] = json.loads(data)["sandbox"]
    control.close()


def _reseed():
    """Random numbers of this child's own. What asks the kernel (`secrets`, `uuid`, `ssl`) needs nothing.

    `random` does so itself after a fork (it has registered for it), NumPy's legacy generator does not.
    """
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _enter_own_domain():
    """Where siblings can neither be traced nor signalled, and their memory not be read (landlock(7), ptrace and scopes).

    A domain has to take something away: the making of block devices, which nobody may do here anyway.
    """
    version = _libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(VERSION_FLAG))
    if version < 1:
        return  # no Landlock on this machine; its node has said so
    scopes = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if version >= 6 else 0
    attributes = (ctypes.c_uint64 * 3)(MAKE_BLOCK_DEVICE, 0, scopes)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(_libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0)))
    _checked(_libc.syscall(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)))
    os.close(ruleset)


def _checked(returned):
    if returned < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return returned


def unfit(descriptor):
    """Why this process cannot be forked safely, as a word and a sentence; None when it can."""
    return _threads() or _children() or _timers() or _descriptors(descriptor)


def _threads():
    """Only the thread that forks is there in a child; locks that others hold stay locked."""
    import threading

    main = threading.main_thread()
    names = [thread.name for thread in threading.enumerate() if thread is not main]
    count = len(os.listdir("/proc/self/task"))
    # One that was joined has run to its end, and may still be on its way out of the kernel, which tells nobody.
    for _ in range(LEAVING_ROUNDS):
        if count == 1 or names:
            break
        time.sleep(LEAVING_PAUSE_S)
        count = len(os.listdir("/proc/self/task"))
    if count == 1:
        return None
    names += ["one not made by Python"] * (count - 1 - len(names))
    return "threads", "runs %d threads beside the main one: %s" % (count - 1, ", ".join(names))


def _children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return "children", "has started a process, which would not be a child's own"


def _timers():
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        if signal.getitimer(timer) != (0.0, 0.0):
            return "timers", "has set an alarm, which a child would not hear"
    return None


def _descriptors(ours):
    """Whatever is open would be shared: the place in a file, the bytes of a connection, the events of a loop."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue  # the listing's own
        if int(name) <= 2 or int(name) in (ours, ready.PIPE) or target.startswith("/dev/"):
            continue
        kind = "sockets" if target.startswith("socket:") else "files" if target.startswith("/") else "handles"
        found.setdefault(kind, []).append(target)
    for kind in ("sockets", "handles", "files"):
        if kind in found:
            return kind, "holds open: %s" % ", ".join(found[kind])
    return None
