"""A gRPC server on the socket of its sandbox, without generated code: messages are bytes."""

import os
import sys
import threading
from concurrent import futures

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

import grpc  # noqa: E402

held = threading.Semaphore(0)
left = threading.Semaphore(0)


def hold(context):
    """Until the caller has left."""
    gone = threading.Event()
    context.add_callback(gone.set)
    held.release()
    gone.wait(60)
    left.release()


def unary(request, context):
    if request == b"fail":
        context.set_trailing_metadata((("x-why", "because"), ("x-raw-bin", b"\x00\xff")))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nicht größer: 100 %")
    if request == b"metadata":
        context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last", "2"),))
        seen = sorted(f"{key}={value!r}" for key, value in context.invocation_metadata())
        return "\n".join(seen).encode()
    if request == b"remaining":
        return str(context.time_remaining()).encode()
    if request == b"hold":
        hold(context)
    if request == b"held":
        return str(held.acquire(timeout=60)).encode()
    if request == b"left":
        return str(left.acquire(timeout=60)).encode()
    if request == b"exit":
        os._exit(3)
    return request


def count(request, context):
    """As many messages as are asked for."""
    for number in range(int(request)):
        yield str(number).encode()


def drip(request, context):
    """One message, and then nothing for as long as the caller is there."""
    yield b"first"
    hold(context)


def die(request, context):
    """One message, and then the end of the process."""
    yield b"first"
    left.acquire(timeout=2)
    os._exit(3)


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def echo(requests, context):
    for request in requests:
        if request == b"enough":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        yield request


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Drip": grpc.unary_stream_rpc_method_handler(drip),
    "Die": grpc.unary_stream_rpc_method_handler(die),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Echo": grpc.stream_stream_rpc_method_handler(echo),
}

server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
for service in os.environ["SERVICES"].split():
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, METHODS),))
server.add_insecure_port("unix:" + os.environ["HATCHWAY_SOCKET"])
server.start()
server.wait_for_termination()
