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


def claim():
    """Claims descriptors 3 and 4 for this process.

    The mark is removed, so that a child process of the function, which has its variables but not its descriptors, does
    not touch what stands there.
    """
    global _is_open
    _is_open = os.environ.pop("HATCHWAY_LISTENER", None) == str(LISTENER)


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
