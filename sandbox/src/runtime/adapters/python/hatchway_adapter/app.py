"""Runs an unmodified WSGI or ASGI application with the server that it brings along."""

import os
import sys

from . import loading, log, ready


def main(module, attribute):
    ready.claim()
    log.by_lines()
    loading.set_path()
    application = loading.load(module, attribute, "bad_app")
    kind = kind_of(application)
    if kind is None:
        message = "%s:%s is neither WSGI (environ, start_response) nor ASGI (scope, receive, send)"
        ready.failed("bad_app", message % (module, attribute))
    elif kind == "asgi":
        from . import asgi

        asgi.run(application)
    elif _has("gunicorn"):
        from . import wsgi

        wsgi.run(application)
    else:
        from . import plain_wsgi

        plain_wsgi.run(application)
    sys.exit(0)


def kind_of(application):
    """`asgi`, `wsgi` or None, by what the application takes when it is called."""
    import inspect

    call = application if inspect.isroutine(application) else type(application).__call__
    if inspect.isclass(application):
        # ASGI of the second version: called with the scope, it makes what is then awaited.
        call = application.__init__
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(application, "func", None)):
        return "asgi"
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return None
    return {1: "asgi", 2: "wsgi", 3: "asgi"}.get(_count_positional(parameters))


def _count_positional(parameters):
    kinds = [p.kind for p in parameters if p.default is p.empty]
    if any(kind is kind.VAR_POSITIONAL for kind in kinds):
        return 2  # a decorator that hides what it wraps: far more of them wrap WSGI
    return sum(kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD) for kind in kinds)


def _has(package):
    from importlib import util

    return util.find_spec(package) is not None
