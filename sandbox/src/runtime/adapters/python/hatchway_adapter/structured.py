"""`ctx.log`: log records as lines of JSON. A module of its own, for `logging` is slow to import."""

import json
import logging

LEVELS = {"WARNING": "warn", "CRITICAL": "error"}
# What every record has; anything else came by `extra=` and is a field of the line.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class StructuredHandler(logging.Handler):
    def __init__(self, request_log):
        super().__init__()
        self._request_log = request_log

    def emit(self, record):
        line = {"level": LEVELS.get(record.levelname, record.levelname.lower()), "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = logging.Formatter().formatException(record.exc_info)
        line.update((name, value) for name, value in vars(record).items() if name not in _OWN)
        self._request_log.write(1, json.dumps(line, ensure_ascii=False, default=repr) + "\n")
