"""Runs `handler(ctx, *args)` for each request."""

import sys
import threading

from . import answer, loading, log, ready
from .arguments import read_arguments
from .context import Context
from .problem import to_problem
from .server import CallerLeft, Server, concurrency, rehearse


def main(module_path, attribute):
    ready.claim()
    log.attribute()
    loading.set_path()
    handler = loading.load(module_path, attribute, "handler_not_found")
    if ready.is_zygote():
        _load_the_rest(handler)
        _rehearse()
    ready.loaded()
    # Threads wait here, not in the handler: no more of them run at once than the function was promised.
    slots = threading.BoundedSemaphore(concurrency())
    server = Server(lambda exchange: _respond(exchange, handler, slots))
    if ready.has_leisure():
        _rehearse()
    server.serve()
    sys.exit(0)


def _load_the_rest(handler):
    """What a first request would load, so that it is there before the fork."""
    import inspect
    import json
    import traceback
    import urllib.parse

    from . import structured

    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        from . import asynchronous


def _rehearse():
    slots = threading.BoundedSemaphore(1)
    rehearse(lambda exchange: _respond(exchange, lambda context, *arguments: [{"is_rehearsal": True}], slots))


def _respond(exchange, handler, slots):
    request_log = log.RequestLog(exchange.headers.get("hatchway-request-id", "-"))
    context = Context(exchange.headers, request_log, exchange.has_left)
    token = log.current.set(request_log)
    try:
        _call(exchange, handler, context, slots)
    except CallerLeft:
        raise
    except BaseException as error:  # SystemExit too: it is the handler's, and ends its call only
        _fail(exchange, error, context)
    finally:
        log.current.reset(token)
        request_log.finish()


def _call(exchange, handler, context, slots):
    arguments = read_arguments(exchange.path, exchange.headers, exchange.body)
    with slots:
        result = handler(context, *arguments)
        if not _is_asynchronous(result):
            return answer.send(exchange, result)
    # Coroutines share one thread; they need no slot to wait in.
    from . import asynchronous

    if hasattr(result, "__await__"):
        result = asynchronous.run(exchange, result)
    if hasattr(result, "__aiter__"):
        result = asynchronous.iterate(exchange, result)
    answer.send(exchange, result)


def _is_asynchronous(result):
    return hasattr(result, "__await__") or hasattr(result, "__aiter__")


def _fail(exchange, error, context):
    problem = to_problem(error, context.request_id)
    if problem["status"] >= 500:
        context.log.error(str(error), exc_info=error, extra={"status": problem["status"]})
    if exchange.has_started:
        return exchange.break_off()
    exchange.send(problem["status"], "application/problem+json", answer.to_json(problem).encode())
