"""Web sockets over HTTP/2 (RFC 8441) by hand: `client.py PORT`. Ends well when everything is as it should."""

import os
import socket
import struct
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings

PORT = int(sys.argv[1])


class Connection:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.settimeout(20)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.data = {}
        self.heads = {}
        self.ended = set()
        self.reset = {}
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def until(self, is_so):
        while not is_so():
            received = self.socket.recv(65536)
            assert received, "the connection ended"
            for event in self.h2.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived):
                    self.heads[event.stream_id] = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    self.data[event.stream_id] += event.data
                    if event.flow_controlled_length:
                        self.h2.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id
                        )
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended.add(event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    self.reset[event.stream_id] = event.error_code
            self.flush()

    def open(self, path, protocol="websocket"):
        stream = self.h2.get_next_available_stream_id()
        self.data[stream] = b""
        head = [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "http"),
            (":path", path),
            (":authority", f"127.0.0.1:{PORT}"),
            ("sec-websocket-version", "13"),
            ("origin", "http://a.test"),
        ]
        self.h2.send_headers(stream, head, end_stream=False)
        self.flush()
        self.until(lambda: stream in self.heads or stream in self.reset)
        return stream

    def send(self, stream, data):
        while data:
            self.until(lambda: self.h2.local_flow_control_window(stream) > 0)
            room = self.h2.local_flow_control_window(stream)
            count = min(room, self.h2.max_outbound_frame_size, len(data))
            self.h2.send_data(stream, data[:count])
            data = data[count:]
            self.flush()

    def take(self, stream, count):
        self.until(lambda: len(self.data[stream]) >= count)
        taken, self.data[stream] = self.data[stream][:count], self.data[stream][count:]
        return taken

    def message(self, stream):
        opcode, length = self.take(stream, 2)
        if length == 126:
            (length,) = struct.unpack("!H", self.take(stream, 2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(stream, 8))
        return opcode & 15, self.take(stream, length)


def frame(opcode, payload):
    """A whole message, masked."""
    mask = os.urandom(4)
    if len(payload) < 126:
        length = struct.pack("!B", 128 | len(payload))
    elif len(payload) < 65536:
        length = struct.pack("!BH", 254, len(payload))
    else:
        length = struct.pack("!BQ", 255, len(payload))
    times = len(payload) // 4 + 1
    masked = bytes(a ^ b for a, b in zip(payload, mask * times))
    return bytes([128 | opcode]) + length + mask + masked


connection = Connection()
connection.until(lambda: connection.h2.remote_settings.enable_connect_protocol == 1)

# Two at once, in lockstep and in bulk.
first, second = connection.open("/ws"), connection.open("/ws")
assert connection.heads[first][":status"] == "200", connection.heads[first]
assert "sec-websocket-accept" not in connection.heads[first], connection.heads[first]
assert "upgrade" not in connection.heads[first], connection.heads[first]
for number in range(500):
    for stream in (first, second):
        connection.send(stream, frame(1, str(number).encode()))
        assert connection.message(stream) == (1, str(number).encode())
for number in range(1000):
    connection.send(first, frame(1, str(number).encode()))
for number in range(1000):
    assert connection.message(first) == (1, str(number).encode())
large = os.urandom(1_000_000)
connection.send(second, frame(2, large))
opcode, payload = connection.message(second)
while len(payload) < len(large):
    # The server may send a large message in parts.
    payload += connection.message(second)[1]
assert (opcode, payload) == (2, large)

# Closed by the function, and by the client.
connection.send(first, frame(1, b"bye"))
opcode, payload = connection.message(first)
assert opcode == 8 and payload == struct.pack("!H", 4001) + b"as you wish", payload
connection.send(first, frame(8, payload[:2]))
connection.until(lambda: first in connection.ended)
connection.h2.end_stream(first)
connection.send(second, frame(8, struct.pack("!H", 1000)))
assert connection.message(second) == (8, struct.pack("!H", 1000))
connection.until(lambda: second in connection.ended)
connection.h2.end_stream(second)
connection.flush()

# What is no web socket is told so; 200 would mean that it is open.
refused = connection.open("/plain")
assert connection.heads[refused][":status"] == "502", connection.heads[refused]
refused = connection.open("/liar")
assert connection.heads[refused][":status"] == "502", connection.heads[refused]
refused = connection.open("/nowhere")
assert connection.heads[refused][":status"] == "404", connection.heads[refused]
refused = connection.open("/ws", protocol="connect-udp")
status = connection.heads.get(refused, {}).get(":status")
assert status is not None and status >= "400", status

# A client that leaves takes nobody with it.
left = connection.open("/ws")
connection.h2.reset_stream(left)
connection.flush()
again = connection.open("/ws")
connection.send(again, frame(1, b"still"))
assert connection.message(again) == (1, b"still")
print("well")
