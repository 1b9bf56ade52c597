"""Which request wrote a line.

The node scheduler reads stdout and stderr by lines, and takes one that begins with the record separator as
`<separator><request id> <text>`.
"""

import contextvars
import io
import os
import sys
import threading

SEPARATOR = "\x1e"
# A line without an end is passed on in parts of this many characters.
PARTIAL_LIMIT = 65536

# The lines of the request that the running code works for: set per request, seen by its tasks.
current = contextvars.ContextVar("hatchway_request", default=None)


class RequestLog:
    """The lines of one request. What is written in pieces is kept until its line ends: requests run side by side."""

    def __init__(self, request_id):
        self._prefix = SEPARATOR + request_id + " "
        self._partial = {1: "", 2: ""}
        self._lock = threading.Lock()

    def write(self, descriptor, text):
        with self._lock:
            text = self._partial[descriptor] + text
            end = text.rfind("\n") + 1
            if len(text) - end > PARTIAL_LIMIT:
                text, end = text + "\n", len(text) + 1
            self._partial[descriptor] = text[end:]
            if end:
                lines = text[: end - 1].replace("\n", "\n" + self._prefix)
                _write_all(descriptor, self._prefix + lines + "\n")

    def finish(self):
        """Writes what has no end of line yet; called when the request is over."""
        for descriptor, text in self._partial.items():
            if text:
                self.write(descriptor, "\n")


class AttributedStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`; outside a request it is the stream itself."""

    def __init__(self, stream):
        self._stream = stream
        self._descriptor = stream.fileno()

    def write(self, text):
        log = current.get()
        if log is None:
            return self._stream.write(text)
        log.write(self._descriptor, text)
        return len(text)

    def flush(self):
        self._stream.flush()

    def fileno(self):
        return self._descriptor

    def isatty(self):
        return False

    def writable(self):
        return True

    @property
    def encoding(self):
        return self._stream.encoding

    @property
    def errors(self):
        return self._stream.errors

    @property
    def buffer(self):
        return self._stream.buffer


def by_lines():
    """Makes what is printed leave at the end of its line: to a pipe, Python would keep it until 8 KiB are full."""
    sys.stdout.reconfigure(line_buffering=True)


def attribute():
    by_lines()
    sys.stdout = AttributedStream(sys.stdout)
    sys.stderr = AttributedStream(sys.stderr)


def make_logger(name, request_log):
    """A `logging.Logger` of one request. It writes structured lines, from whatever thread it is called."""
    import logging

    from .structured import StructuredHandler

    logger = logging.Logger(name)
    logger.addHandler(StructuredHandler(request_log))
    return logger


def _write_all(descriptor, text):
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
