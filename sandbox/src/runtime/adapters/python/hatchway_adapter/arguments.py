"""From a request to the arguments of a call.

    no body                              the query as one dict; no query, no argument
    application/json, +json              an array gives its elements, anything else is one argument
    application/x-www-form-urlencoded    one dict
    text/*                               one str
    anything else                        one bytes

A name that is there more than once gives a list. Arguments are collected, so they are limited; a function that takes
large bodies is an application of its own (`app`) and reads them as they come.
"""

from .problem import Refusal

BODY_LIMIT_BYTES = 10 * 1024 * 1024


def read_arguments(target, headers, body):
    """`body` reads at most so many bytes: `body.read(limit)` -> bytes."""
    data = body.read(BODY_LIMIT_BYTES + 1)
    if len(data) > BODY_LIMIT_BYTES:
        message = "the body is larger than %d bytes, the most that fits an argument" % BODY_LIMIT_BYTES
        raise Refusal(413, message)
    return _from_body(data, headers) if data else _from_query(target)


def _from_query(target):
    _, _, query = target.partition("?")
    return [_from_form(query)] if query else []


def _from_body(data, headers):
    coding = headers.get("content-encoding", "identity")
    if coding != "identity":
        raise Refusal(415, "content encoding %s is not undone for arguments" % coding)
    kind = headers.get_content_type() if "content-type" in headers else ""
    if kind == "application/json" or kind.endswith("+json"):
        return _from_json(data)
    if kind == "application/x-www-form-urlencoded":
        return [_from_form(_decode(data, "utf-8"))]
    if kind.startswith("text/"):
        return [_decode(data, headers.get_content_charset("utf-8"))]
    return [data]


def _from_json(data):
    import json

    try:
        value = json.loads(data)
    except ValueError as error:
        raise Refusal(400, "the body is not JSON: %s" % error) from None
    return value if isinstance(value, list) else [value]


def _from_form(text):
    from urllib.parse import parse_qsl

    values = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in values:
            values[name] = value
        elif isinstance(values[name], list):
            values[name].append(value)
        else:
            values[name] = [values[name], value]
    return values


def _decode(data, charset):
    try:
        return data.decode(charset, "replace")
    except LookupError:
        raise Refusal(415, "charset %s is not known" % charset) from None
