"""A client of gRPC: `client.py ADDRESS CASE [CA]`. Ends well when the case does."""

import queue
import sys
import threading
import time

import grpc

address, case = sys.argv[1:3]
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options = [("grpc.ssl_target_name_override", "a.test")]
    channel = grpc.secure_channel(address, credentials, options)
else:
    channel = grpc.insecure_channel(address)


def method(kind, name, service="test.Echo"):
    return getattr(channel, kind)(f"/{service}/{name}")


unary = method("unary_unary", "Unary")
count = method("unary_stream", "Count")
drip = method("unary_stream", "Drip")
die = method("unary_stream", "Die")
total = method("stream_unary", "Total")
echo = method("stream_stream", "Echo")


def error_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def calls():
    for number in range(200):
        assert unary(str(number).encode(), timeout=30) == str(number).encode()
    # Many at once, over one connection.
    waiting = [unary.future(str(number).encode(), timeout=30) for number in range(200)]
    assert [call.result() for call in waiting] == [str(number).encode() for number in range(200)]
    large = bytes(range(256)) * 12_000
    assert unary(large, timeout=30) == large
    assert unary(b"", timeout=30) == b""


def streams():
    assert [int(part) for part in count(b"1000", timeout=30)] == list(range(1000))
    assert list(count(b"0", timeout=30)) == []
    assert total((b"x" * 100 for _ in range(1000)), timeout=30) == b"100000"
    assert total(iter(()), timeout=30) == b"0"
    parts = [str(number).encode() * 50 for number in range(1000)]
    assert list(echo(iter(parts), timeout=30)) == parts
    # In lockstep: each message goes before the answer to the one before has come.
    to_send = queue.Queue()
    answers = echo(iter(to_send.get, None), timeout=30)
    for number in range(1000):
        to_send.put(str(number).encode())
        assert next(answers) == str(number).encode()
    to_send.put(None)
    assert list(answers) == []


def metadata():
    answer, call = unary.with_call(
        b"metadata", timeout=30, metadata=(("x-given", "yes"), ("x-raw-bin", b"\x00\xff"))
    )
    seen = dict(line.split("=", 1) for line in answer.decode().splitlines())
    assert seen["x-given"] == "'yes'" and seen["x-raw-bin"] == repr(b"\x00\xff"), seen
    assert "x-request-id" in seen and "traceparent" in seen, seen
    assert ("x-first", "1") in call.initial_metadata(), call.initial_metadata()
    assert ("x-last", "2") in call.trailing_metadata(), call.trailing_metadata()


def failure():
    error = error_of(lambda: unary(b"fail", timeout=30))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "nicht größer: 100 %", error.details()
    trailing = dict(error.trailing_metadata())
    assert trailing["x-why"] == "because" and trailing["x-raw-bin"] == b"\x00\xff", trailing
    error = error_of(lambda: method("unary_unary", "Nothing")(b"", timeout=30))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    error = error_of(lambda: list(echo(iter([b"a", b"enough", b"b"]), timeout=30)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error


def deadline():
    remaining = float(unary(b"remaining", timeout=10))
    assert 0 < remaining < 10, remaining
    began = time.monotonic()
    error = error_of(lambda: unary(b"hold", timeout=0.5))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - began < 10
    # The function was told.
    assert unary(b"left", timeout=30) == b"True"


def cancel():
    # A call that is given up before the function has heard of it is none that it could hear the end of.
    held = unary.future(b"hold", timeout=300)
    assert unary(b"held", timeout=90) == b"True"
    parts = drip(b"", timeout=300)
    assert next(parts) == b"first"
    assert unary(b"held", timeout=90) == b"True"
    parts.cancel()
    assert unary(b"left", timeout=90) == b"True"
    held.cancel()
    assert unary(b"left", timeout=90) == b"True"


def platform():
    """What the platform says itself."""
    error = error_of(lambda: method("unary_unary", "Unary", "test.Nobody")(b"", timeout=30))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    assert "no route" in error.details(), error.details()
    rare = method("unary_unary", "Unary", "test.Rare")
    assert rare(b"a", timeout=30) == b"a"
    error = error_of(lambda: rare(b"b", timeout=30))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
    broken = method("unary_unary", "Unary", "test.Broken")
    error = error_of(lambda: broken(b"", timeout=30))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    # Clocks of the platform, before and behind the first message.
    hasty = method("unary_unary", "Unary", "test.Hasty")
    error = error_of(lambda: hasty(b"hold", timeout=30))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert "first-byte clock" in error.details(), error.details()
    parts = method("unary_stream", "Drip", "test.Hasty")(b"", timeout=30)
    assert next(parts) == b"first"
    error = error_of(lambda: next(parts))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    # A process that ends.
    error = error_of(lambda: unary(b"exit", timeout=30))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    assert unary(b"again", timeout=30) == b"again"
    parts = die(b"", timeout=30)
    assert next(parts) == b"first"
    error = error_of(lambda: next(parts))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    assert unary(b"again", timeout=30) == b"again"


globals()[case]()
channel.close()
print("well")
