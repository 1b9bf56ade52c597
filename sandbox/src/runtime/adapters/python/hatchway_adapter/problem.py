"""From a raised exception to a structured answer (RFC 9457)."""


class Refusal(Exception):
    """The adapter's own refusal of a call that cannot be made."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def to_problem(error, request_id):
    """The status is the exception's own `status` or `status_code` when it is one of an error (400 to 599), else 500.

    The message of a 5xx error may tell a stranger about the inside, so it goes to the log alone unless the exception says
    `expose`.
    """
    from http.client import responses

    own = (getattr(error, "status", None), getattr(error, "status_code", None))
    status = next((code for code in own if isinstance(code, int) and 400 <= code <= 599), 500)
    expose = getattr(error, "expose", None)
    is_exposed = expose if isinstance(expose, bool) else status < 500
    return {
        "type": "about:blank",
        "title": responses.get(status, "Error"),
        "status": int(status),
        "detail": str(error) if is_exposed else "the function failed; its log says why",
        "instance": request_id,
        "name": type(error).__name__,
    }
