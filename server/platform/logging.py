"""JSON logs from an allow-list: what is not known to be harmless is not written.

A line holds the event's name, which is text of our own source, and fields whose names are listed here: ids, counts
and codes. Other fields are dropped and counted in `dropped`. Exceptions are written as types and code locations,
without their messages, since drivers put row values into them. Records of the standard library are written with
their format string, never with its arguments.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, BinaryIO, Final, TypeAlias

import orjson
import structlog

Event: TypeAlias = MutableMapping[str, Any]

ALLOWED_FIELDS: Final = frozenset(
    {
        # written by this module
        *("event", "level", "timestamp", "exception", "dropped", "logger", "location"),
        # the process and its work
        *(
            "address",
            "pid",
            "process",
            "task",
            "processes",
            "signal",
            "exit_code",
            "role",
            "version",
            "services",
            "setting",
        ),
        # calls
        *("method", "code", "reason", "fault_id", "sqlstate", "realm", "scope", "field", "status", "attempt"),
        # ids; none of them is, or may be made of, personal data
        *("tenant_id", "task_id", "delivery_id", "delivery_key", "snapshot_id", "campaign_id", "rule_id"),
        *(
            "marketing_event_id",
            "template_id",
            "rule_bundle_id",
            "channel",
            "provider",
            "queue",
            "shard",
            "epoch",
            "redis_reserves",
        ),
        # quantities
        *(
            "count",
            "rows",
            "bytes",
            "batch",
            "pending",
            "queued",
            "seconds",
            "milliseconds",
            "retry_after_ms",
        ),
        # names of our own database objects
        *("query", "table", "partition", "function", "migration", "index", "job"),
    }
)
_PLAIN: Final = (str, int, float, bool, type(None))
_LONGEST_VALUE: Final = 200
_MOST_FRAMES: Final = 20
_MOST_CAUSES: Final = 10


def configure_logging(*, level: str, stream: BinaryIO | None = None) -> None:
    """Sends all logs of the process, structlog's and the standard library's, as JSON lines to one stream.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        stream: where to write bytes; standard error when None.
    """
    output = stream or sys.stderr.buffer
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_allowed_fields,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.BytesLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=level, handlers=[_ToStructlog()], force=True)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """The logger; its fields are those of `ALLOWED_FIELDS`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def keep_allowed_fields(_logger: object, _method: str, event: Event) -> Event:
    """Keeps the fields of the allow-list, turns exceptions to locations, and counts the rest in `dropped`."""
    error = _exception_of(event.pop("exc_info", None))
    kept = {key: _plain(value) for key, value in event.items() if key in ALLOWED_FIELDS}
    dropped = len(event) - len(kept)
    if error is not None:
        kept["exception"] = list(_describe(error))
    if dropped:
        kept["dropped"] = dropped
    return kept


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value[:_LONGEST_VALUE]
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)[:_LONGEST_VALUE] if type(value).__name__ in {"UUID", "datetime"} else "[dropped]"


def _exception_of(information: object) -> BaseException | None:
    if isinstance(information, BaseException):
        return information
    if isinstance(information, tuple):
        error = information[1]
        return error if isinstance(error, BaseException) else None
    return sys.exc_info()[1] if information else None


def _describe(error: BaseException) -> Iterator[Mapping[str, object]]:
    """The error, then what caused it: type, code locations, and the SQLSTATE of a database error."""
    current: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if current is None:
            return
        frames = traceback.extract_tb(current.__traceback__)[-_MOST_FRAMES:]
        described: dict[str, object] = {
            "type": f"{type(current).__module__}.{type(current).__qualname__}",
            "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        state = getattr(current, "sqlstate", None)
        if isinstance(state, str):
            described["sqlstate"] = state
        yield described
        current = current.__cause__ or current.__context__


def _render(_logger: object, _method: str, event: Event) -> bytes:
    return orjson.dumps(event)


class _ToStructlog(logging.Handler):
    """Hands records of the standard library on, without their arguments.

    A message without arguments may have been formatted by its author, so only its location is written.
    """

    def emit(self, record: logging.LogRecord) -> None:
        event = str(record.msg) if record.args else "log_of_a_library"
        get_logger().log(
            record.levelno,
            event,
            logger=record.name,
            location=f"{record.pathname}:{record.lineno} {record.funcName}",
            exc_info=record.exc_info,
        )
