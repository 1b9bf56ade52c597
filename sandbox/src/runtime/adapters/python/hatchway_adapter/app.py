"""Runs an unmodified WSGI or ASGI application with the server that it brings along."""

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
    try:
        serve = _server(application, kind)
        ready.loaded()
        serve()
    except Exception as error:
        import traceback

        ready.failed("bad_app", "%s: %s" % (type(error).__name__, error), traceback.format_exc())
    finally:
        ready.ended_early("bad_app", "the server ended before it was ready; its log says why")
    sys.exit(0)


def _server(application, kind):
    """A function that serves, with everything loaded that it needs."""
    if kind != "wsgi":
        from . import asgi

        return asgi.server(application, kind)
    if _has("gunicorn"):
        from . import wsgi

        return wsgi.server(application)
    from . import plain_wsgi

    return plain_wsgi.server(application)


def kind_of(application):
    """`wsgi`, `asgi3`, `asgi2` (called with the scope, it makes what is then awaited) or None, by how it is called."""
    import inspect

    function = getattr(application, "func", application)  # of functools.partial
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return "asgi3"
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return None
    return {1: "asgi2", 2: "wsgi", 3: "asgi3"}.get(_count_positional(parameters))


def _count_positional(parameters):
    kinds = [p.kind for p in parameters if p.default is p.empty]
    if any(kind is kind.VAR_POSITIONAL for kind in kinds):
        return 2  # a decorator that hides what it wraps: far more of them wrap WSGI
    return sum(kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD) for kind in kinds)


def _has(package):
    from importlib import util

    return util.find_spec(package) is not None
