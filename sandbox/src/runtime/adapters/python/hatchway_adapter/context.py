"""`ctx`: what a handler may know about its call. Business only; nothing in it tells which protocol the call came by."""

import os
import time

from .log import make_logger

_FUNCTION = os.environ.get("HATCHWAY_FUNCTION")
_TENANT = os.environ.get("HATCHWAY_TENANT")


class Trace:
    """The caller's place in a trace (W3C Trace Context)."""

    __slots__ = ("trace_id", "parent_id", "sampled")

    def __init__(self, trace_id, parent_id, sampled):
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.sampled = sampled


class Context:
    def __init__(self, headers, request_log, has_left):
        self.request_id = headers.get("hatchway-request-id")
        self.function = _FUNCTION
        self.tenant = headers.get("hatchway-tenant", _TENANT)
        # Who calls, when the gateway has found out.
        self.caller = headers.get("hatchway-caller")
        self.trace = _parse_trace(headers.get("traceparent"))
        self._deadline_ms = _parse_deadline(headers.get("hatchway-deadline-ms"))
        self._request_log = request_log
        self._has_left = has_left
        self._log = None

    @property
    def deadline(self):
        """A `datetime` in UTC, or None when the call has no end set."""
        if self._deadline_ms is None:
            return None
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self._deadline_ms / 1000, timezone.utc)

    def remaining_ms(self):
        """Milliseconds left to the deadline, 0 when it has passed, infinity when there is none."""
        if self._deadline_ms is None:
            return float("inf")
        return max(0.0, self._deadline_ms - time.time() * 1000)

    @property
    def cancelled(self):
        """True once the caller has left. A coroutine need not look: it is cancelled."""
        return self._has_left()

    @property
    def log(self):
        """A `logging.Logger` whose lines carry the request id; fields by `extra={...}`."""
        if self._log is None:
            self._log = make_logger(self.function or "function", self._request_log)
        return self._log


def _parse_trace(header):
    """Section 3.2: a later version may have more fields after the four of version 00."""
    parts = (header or "").split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, trace_id, parent_id, flags = parts[:4]
    if set(version + trace_id + parent_id + flags) - set("0123456789abcdef") or version == "ff":
        return None
    if not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return Trace(trace_id, parent_id, int(flags, 16) & 1 == 1)


def _parse_deadline(header):
    try:
        return float(header) if header is not None else None
    except ValueError:
        return None
