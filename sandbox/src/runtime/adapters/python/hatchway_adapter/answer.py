"""From a result to an answer.

    None                                 204
    str                                  text/plain
    bytes, bytearray, memoryview         application/octet-stream
    iterator, generator                  sent item by item, see `send_stream`
    anything else                        JSON
"""

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
EVENTS = "text/event-stream"
JSON = "application/json"

_BYTES_LIKE = (bytes, bytearray, memoryview)


def is_stream(result):
    """Lists and dicts are values; what is a stream has `__next__` itself."""
    return hasattr(result, "__next__")


def send(exchange, result):
    if result is None:
        exchange.send(204, None, b"")
    elif is_stream(result):
        send_stream(exchange, result)
    elif isinstance(result, str):
        exchange.send(200, TEXT, result.encode())
    elif isinstance(result, _BYTES_LIKE):
        exchange.send(200, BYTES, bytes(result))
    else:
        exchange.send(200, JSON, to_json(result).encode())


def send_stream(exchange, items):
    """Sends the items as they come, no faster than the caller reads.

    The first item decides: a str makes it text, bytes make it bytes, anything else makes it server-sent events, an event
    per item. It also decides when the head goes out, so that an exception before it is still a proper answer.
    """
    try:
        first = next(items, None)
        kind = TEXT if isinstance(first, str) or first is None else BYTES if isinstance(first, _BYTES_LIKE) else EVENTS
        chunk = b"" if first is None else to_chunk(first, kind)
        headers = [("content-type", kind)]
        exchange.start(200, headers + [("cache-control", "no-cache")] if kind is EVENTS else headers)
        # An answer to HEAD has no body, so nothing would ever slow an endless stream down.
        if not exchange.is_head:
            exchange.send_chunk(chunk)
            for item in items:
                exchange.send_chunk(to_chunk(item, kind))
        exchange.end()
    finally:
        # Runs the generator's own `finally` when the caller has left.
        close = getattr(items, "close", None)
        if close is not None:
            close()


def to_chunk(item, kind):
    if kind is EVENTS:
        return _to_event(item)
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, _BYTES_LIKE):
        return bytes(item)
    raise TypeError("a stream of %s cannot hold a %s" % (kind, type(item).__name__))


def _to_event(item):
    """A str may have several lines, and each is a `data` line; JSON has none (HTML, section 9.2.6)."""
    text = item if isinstance(item, str) else to_json(item)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join("data: %s\n" % line for line in lines).encode() + b"\n"


def to_json(value):
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value):
    """What JSON lacks and has one obvious form: dates and times, and dataclasses."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(type(value), "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError("a %s cannot be sent as JSON" % type(value).__name__)
