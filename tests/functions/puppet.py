"""The same as puppet.mjs, for what Python has to show by itself."""

import os
import sys
import threading

gates = {}
lock = threading.Lock()
seen = []


def gate(name):
    with lock:
        return gates.setdefault(name, threading.Event())


def puppet(ctx, order=None):
    order = order or {}
    return ORDERS[order.get("do", "hello")](ctx, order)


def hello(ctx, order):
    return {"pid": os.getpid(), "requestId": ctx.request_id, "order": order}


def wait(ctx, order):
    gate(order.get("gate")).wait()
    return {"waited": order.get("gate")}


def release(ctx, order):
    gate(order.get("gate")).set()
    return {"opened": order.get("gate")}


def events(ctx, order):
    """An event, then one for each gate that opens: a gate for each."""
    count = int(order["count"])
    try:
        for n in range(count):
            yield {"n": n}
            if n + 1 < count:
                gate(str(n)).wait()
    finally:
        seen.append("stream ended")


def endless(ctx, order):
    try:
        while True:
            yield "x" * 1024
    finally:
        seen.append("stream ended")


def say(ctx, order):
    print(order["line"])
    print("error: " + order["line"], file=sys.stderr)
    return {}


ORDERS = {
    "hello": hello,
    "wait": wait,
    "open": release,
    "events": events,
    "endless": endless,
    "print": say,
    "seen": lambda ctx, order: seen,
}
