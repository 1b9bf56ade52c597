"""A server that breaks HTTP in the way that its path names."""

import os
import socket
import threading

ANSWERS = {
    b"/good": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood",
    b"/garbage": b"I am no web server\r\n\r\n",
    b"/silence": b"",
    b"/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    b"/lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    b"/both": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\nabc\r\n0\r\n\r\n",
    b"/head": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 1000000 + b"\r\n\r\n",
    b"/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"/forged": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: mine\r\nHatchway-Start: warm\r\n"
    b"Connection: close, X-Hop\r\nX-Hop: 1\r\n\r\nok",
}


def serve(connection):
    with connection:
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return
            head += part
        path = head.split(b" ", 2)[1].removeprefix(b"/rude")
        try:
            connection.sendall(ANSWERS[path])
        except OSError:
            pass


listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
