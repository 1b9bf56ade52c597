"""HTTP/1.1 on the socket that the node scheduler made: a thread per connection, kept alive, heads read by `http.server`.

There are as many connections as requests at once, plus a few idle ones, and the node scheduler closes those.
"""

import os
import select
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler

from .ready import LISTENER, park, ready


# As much as `http.server` allows a line of a head.
LINE_LIMIT = 65537


class CallerLeft(Exception):
    """The connection is gone: nobody to answer."""


class Body:
    """The body of one request, read as it comes (RFC 9112, sections 6 and 7)."""

    def __init__(self, stream, headers, before_read):
        self._stream = stream
        self._before_read = before_read
        self._is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._left = 0 if self._is_chunked else int(headers.get("content-length", 0))
        self.is_at_end = not self._is_chunked and self._left == 0

    def read(self, limit):
        """Up to `limit` bytes: fewer only at the end of the body."""
        parts = []
        while limit > 0 and not self.is_at_end:
            part = self._read_some(limit)
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)

    def _read_some(self, limit):
        self._before_read()
        if self._left == 0 and not self._next_chunk():
            return b""
        size = min(limit, self._left)
        part = self._read(size)
        self._left -= size
        if self._left == 0 and self._is_chunked:
            self._line()
        elif self._left == 0:
            self.is_at_end = True
        return part

    def _next_chunk(self):
        """False when it was the last, which is empty."""
        self._left = int(self._line().partition(b";")[0], 16)
        if self._left > 0:
            return True
        while self._line() != b"\r\n":
            pass  # trailers
        self.is_at_end = True
        return False

    def _read(self, size):
        try:
            part = self._stream.read(size)
        except OSError:
            part = b""
        if len(part) < size:
            raise CallerLeft
        return part

    def _line(self):
        line = self._stream.readline(LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise CallerLeft
        return line


class Exchange(BaseHTTPRequestHandler):
    """One connection; `respond` is called for each of its requests, and answers it by the methods below."""

    protocol_version = "HTTP/1.1"
    respond = None

    def setup(self):
        super().setup()
        self.is_idle = True
        self._must_continue = False
        self.server.opened(self)

    def finish(self):
        self.server.closed(self)
        super().finish()

    def handle_one_request(self):
        self.is_idle = True
        self.raw_requestline = b"" if self.server.is_draining else self.rfile.readline(LINE_LIMIT)
        self.is_idle = False
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        self.is_head = self.command == "HEAD"
        self.has_started = False
        self.body = Body(self.rfile, self.headers, self._continue)
        try:
            self.respond()
        except CallerLeft:
            self.close_connection = True

    def handle_expect_100(self):
        """Asked for the body only when somebody reads it."""
        self._must_continue = True
        return True

    def _continue(self):
        if self._must_continue:
            self._must_continue = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def has_left(self):
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        return bool(poll.poll(0))

    def send(self, status, kind, body):
        """A whole answer, in one write; without a `kind` it has no body."""
        self.start(status, [("content-type", kind), ("content-length", len(body))] if kind else [])
        self.send_chunk(body)
        self.end()

    def start(self, status, headers):
        """Begins an answer. The head goes out with the first chunk, and a body of unknown length goes in chunks."""
        self.has_started = True
        self._has_body = not self.is_head and status not in (204, 304)
        has_length = any(name.lower() == "content-length" for name, _ in headers)
        self._is_chunked = self._has_body and not has_length
        if self._is_chunked:
            headers = [*headers, ("transfer-encoding", "chunked")]
        # The rest of a body that nobody read would stand in the way of the next request.
        if self.server.is_draining or not self.body.is_at_end:
            self.close_connection = True
            headers = [*headers, ("connection", "close")]
        reason = self.responses[status][0] if status in self.responses else ""
        lines = "".join("%s: %s\r\n" % field for field in headers)
        self._pending = ("HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason, lines)).encode("latin-1")

    def send_chunk(self, data):
        if data and self._has_body:
            self._flush(b"%x\r\n%s\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self):
        self._flush(b"0\r\n\r\n" if self._is_chunked else b"")

    def break_off(self):
        """Ends an answer that cannot be finished: without its last chunk, it is seen to be cut off."""
        self.close_connection = True

    def _flush(self, data):
        data, self._pending = self._pending + data, b""
        if data:
            self._write(data)

    def _write(self, data):
        try:
            self.wfile.write(data)
        except OSError:
            raise CallerLeft from None

    def log_message(self, format, *args):
        """The node scheduler logs calls."""


class Server:
    """Accepts until SIGTERM, then lets what runs finish."""

    def __init__(self, respond):
        self.is_draining = False
        self._exchange = type("Exchange", (Exchange,), {"respond": respond})
        self._listener = socket.socket(fileno=LISTENER)
        self._listener.setblocking(False)
        self._threads = {}

    def serve(self):
        wake = self._watch_signals()
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(wake, select.POLLIN)
        park()
        ready()
        while not self.is_draining:
            for descriptor, _ in poll.poll():
                if descriptor == wake:
                    os.read(wake, 4096)
                else:
                    self._accept()
        self._drain()

    def _watch_signals(self):
        """A descriptor that becomes readable with each signal.

        A signal that comes just before a call that waits does not interrupt it, and its handler would run only after.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        return reader

    def _stop(self, *_):
        self.is_draining = True

    def _accept(self):
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # it was gone before its turn
        threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            with connection:
                self._exchange(connection, "", self)
        except OSError:
            pass  # the caller has left between two requests

    def opened(self, exchange):
        self._threads[exchange] = threading.current_thread()

    def closed(self, exchange):
        del self._threads[exchange]

    def _drain(self):
        self._listener.close()
        for exchange, thread in list(self._threads.items()):
            if exchange.is_idle:
                # Ends the wait for a request; one that is just arriving is still read.
                exchange.connection.shutdown(socket.SHUT_RD)
            thread.join()


class _Stage:
    """What an `Exchange` asks of its server."""

    is_draining = False

    def opened(self, exchange):
        pass

    closed = opened


def rehearse(respond):
    """Answers one request of our own: before a fork, for what the first one compiles and caches to be there; and after it,
    for what it writes to not to be shared any more, which costs a copy of each page.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"GET /rehearsal?name=value HTTP/1.1\r\nHost: rehearsal\r\nAccept: */*\r\n\r\n")
        ours.shutdown(socket.SHUT_WR)
        exchange = type("Exchange", (Exchange,), {"respond": respond})
        thread = threading.Thread(target=exchange, args=(theirs, "", _Stage()))
        thread.start()
        thread.join()


def concurrency():
    """Requests that may run here at once."""
    return max(1, int(os.environ.get("HATCHWAY_CONCURRENCY", "1")))
