"""How log lines look: text for people, JSON for programs. Only the `healthmon` logger is touched."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from healthmon.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
# What every record carries; all else came as `extra` and belongs into the line of a program.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# A message may quote what a stranger sent: a line break or an escape in it must not make a line or move a cursor.
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}


def set_up(level: str, log_format: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send what the `healthmon` loggers say to `stream`, stderr unless given; a second call replaces the first.

    For healthmon's own programs: a program that imports healthmon sets up its logging itself. `level` is one of LEVELS,
    in any case. Raises ConfigurationError for another level or format.
    """
    formatters: dict[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}
    if level.lower() not in LEVELS:
        raise ConfigurationError(f"the log level is {level!r}; give {', '.join(LEVELS)}")
    if log_format not in formatters:
        raise ConfigurationError(f"the log format is {log_format!r}; give {', '.join(formatters)}")
    handler = _OwnHandler(stream)
    handler.setFormatter(formatters[log_format]())
    logger = logging.getLogger("healthmon")
    for earlier in [each for each in logger.handlers if isinstance(each, _OwnHandler)]:
        logger.removeHandler(earlier)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False  # else a root handler says every line twice


class TextFormatter(logging.Formatter):
    """`2026-11-23T19:31:02.114Z INFO healthmon.monitor: j_prime: healthy -> degraded`, then any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\n", "\\n")
        line = f"{_utc(record.created)} {record.levelname} {record.name}: {message}"
        return "\n".join([line, *_aftermath(self, record).values()]).translate(_CONTROLS)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts` (RFC 3339 UTC), `level`, `logger`, `message`, then what came as `extra`, by name.

    Where there was an exception, `exception` holds its traceback. An extra cannot take the place of these. A value that
    JSON has no form for is its text.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_aftermath(self, record),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD and name not in line}
        try:
            return json.dumps(line | extra, default=str, allow_nan=False)
        except (TypeError, ValueError):
            # NaN, a key that is no text, a circle: logging must not fail for its decoration
            return json.dumps(line | {name: str(value) for name, value in extra.items()})


class _OwnHandler(logging.StreamHandler[TextIO]):
    """Tells the handler that set_up made from those that others added."""


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _aftermath(formatter: logging.Formatter, record: logging.LogRecord) -> Mapping[str, str]:
    """The traceback and the stack that a record carries, where it does."""
    told = {}
    if record.exc_info:
        told["exception"] = formatter.formatException(record.exc_info)
    if record.stack_info:
        told["stack"] = formatter.formatStack(record.stack_info)
    return told
