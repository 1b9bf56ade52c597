"""Word to the node scheduler over the pipe it left at descriptor 4: one line of JSON, then the end of the pipe."""

import os
import sys
import time

LISTENER = 3
PIPE = 4
# A pipe holds 64 KiB; a longer line would block a process whose start nobody reads to the end.
STACK_LIMIT = 8192

_started = time.perf_counter()
_is_open = False
_zygote = None


def claim():
    """Claims descriptors 3 and 4 for this process.

    The mark is removed, so that a child process of the function, which has its variables but not its descriptors, does
    not touch what stands there.
    """
    global _is_open, _zygote
    _zygote = os.environ.pop("HATCHWAY_ZYGOTE_FD", None)
    _is_open = _zygote is not None or os.environ.pop("HATCHWAY_LISTENER", None) == str(LISTENER)


def begin():
    """A process that has booted in advance begins here."""
    global _started
    _started = time.perf_counter()


def is_zygote():
    """True in a zygote and in its children."""
    return _zygote is not None


def loaded():
    """The code is loaded: an ordinary start goes on, and so does each child of a zygote."""
    if _zygote is None:
        return
    try:
        from . import zygote
    except ImportError as error:
        unfit("runtime", "this Python cannot be forked: %s" % error)
    zygote.wait_to_be_forked(int(_zygote))


def has_leisure():
    """True in a child of a zygote that nobody waits for yet."""
    if _zygote is None:
        return False
    from . import zygote

    return not zygote.is_let_go()


def park():
    """A child of a zygote waits here until it is to serve. It has its own pipe at the same place, and its own time."""
    global _is_open, _started
    if _zygote is not None:
        from . import zygote

        zygote.wait_to_be_let_go()
        _is_open, _started = True, time.perf_counter()


def ready():
    load_ms = round((time.perf_counter() - _started) * 1000, 1)
    version = ".".join(map(str, sys.version_info[:3]))
    _say('{"ready":{"load_ms":%s,"runtime":"python %s"}}' % (load_ms, version))


def failed(reason, message, stack=None):
    """Says why there will be no function, on the pipe and in the log, and ends the process."""
    import json

    words = {"reason": reason, "message": message}
    if stack is not None:
        words["stack"] = stack[-STACK_LIMIT:]
    sys.stderr.write((stack or message).rstrip("\n") + "\n")
    sys.stderr.flush()
    _say(json.dumps({"failed": words}))
    os._exit(1)


def unfit(what, message):
    """Says why a zygote cannot be forked, on the pipe alone: it is nothing that the function did wrong."""
    import json

    _say(json.dumps({"failed": {"reason": "unfit", "what": what, "message": message}}))
    os._exit(0)


def ended_early(reason, message):
    """For a server that returns: one that ends before it is ready has failed, however it ended."""
    if _is_open:
        failed(reason, message)


def _say(line):
    global _is_open
    if _is_open:
        _is_open = False
        os.write(PIPE, line.encode() + b"\n")
        os.close(PIPE)
