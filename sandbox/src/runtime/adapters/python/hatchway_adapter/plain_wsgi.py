"""A WSGI application without a server among its packages: served by ours (PEP 3333)."""

import io
import sys
import threading
from urllib.parse import unquote_to_bytes

from . import ready
from .server import CallerLeft, Server, concurrency, rehearse


def server(application):
    slots = threading.BoundedSemaphore(concurrency())

    def respond(exchange):
        with slots:
            _respond(exchange, application)

    if ready.is_zygote():
        _rehearse()

    def serve():
        server = Server(respond)
        if ready.has_leisure():
            _rehearse()
        server.serve()

    return serve


def _rehearse():
    def answer(environ, start_response):
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"rehearsal"]

    rehearse(lambda exchange: _respond(exchange, answer))


def _respond(exchange, application):
    answer = _Answer(exchange)
    try:
        _call(exchange, application, answer)
    except CallerLeft:
        raise
    except Exception:
        import traceback

        traceback.print_exc()
        if exchange.has_started:
            return exchange.break_off()
        exchange.send(500, "text/plain; charset=utf-8", b"Internal Server Error\n")


def _call(exchange, application, answer):
    chunks = application(_environ(exchange), answer.start_response)
    try:
        for chunk in chunks:
            answer.write(chunk)
        answer.finish()
    finally:
        if hasattr(chunks, "close"):
            chunks.close()


class _Answer:
    def __init__(self, exchange):
        self._exchange = exchange
        self._head = None

    def start_response(self, status, headers, exc_info=None):
        if self._exchange.has_started and exc_info is not None:
            raise exc_info[1]
        if self._head is not None and exc_info is None:
            raise AssertionError("start_response was called twice")
        self._head = (int(status.split(" ", 1)[0]), headers)
        return self.write

    def write(self, data):
        if data:
            self._begin()
            self._exchange.send_chunk(data)

    def finish(self):
        self._begin()
        self._exchange.end()

    def _begin(self):
        if self._head is None:
            raise AssertionError("the application answered before it called start_response")
        if not self._exchange.has_started:
            self._exchange.start(*self._head)


class _Input(io.RawIOBase):
    def __init__(self, body):
        self._body = body

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _environ(exchange):
    headers = exchange.headers
    path, _, query = exchange.path.partition("?")
    host, _, port = headers.get("host", "localhost").partition(":")
    scheme = headers.get("x-forwarded-proto", "http")
    environ = {
        "REQUEST_METHOD": exchange.command,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": port or ("443" if scheme == "https" else "80"),
        "SERVER_PROTOCOL": exchange.request_version,
        "REMOTE_ADDR": headers.get("x-forwarded-for", "").split(",")[0].strip(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BufferedReader(_Input(exchange.body)),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name in set(map(str.lower, headers.keys())):
        key = name.upper().replace("-", "_")
        own = key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        environ[key if own else "HTTP_" + key] = ",".join(headers.get_all(name))
    return environ
