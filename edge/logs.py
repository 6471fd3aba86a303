"""Structured logs for people (console) or machines (JSON lines), through a filter that cannot print a key."""

import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import IO, Any, Literal

import msgspec

MASK = "[masked]"
MAX_TEXT = 2000

_SECRET_NAME = re.compile(r"(?!public)(\w*_)?(\w*key|secret|password|passwd|token|credential|pin|psk)s?(_\w*)?", re.I)
_HEX_RUN = re.compile(r"[0-9a-fA-F]{32,}")
_NAMED_IN_TEXT = re.compile(
    r"(?P<name>\b(?!public)\w*(?:key|secret|password|passwd|token|credential|psk)\w*)"
    r"(?P<between>[\"']?\s*(?:[=:]|\bis\b)?\s*(?:b?[\"'])?)(?P<value>[0-9a-fA-F]{32,})",
    re.I,
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(form: Literal["json", "console"] = "console", level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Send all logging of this process to `stream` (standard error by default)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _text(record),
            **_fields(record),
        }
        return msgspec.json.encode(line, enc_hook=str).decode()


class ConsoleFormatter(logging.Formatter):
    """One line for a person: time, level, message, then name=value pairs."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        return f"{_time(record)} {record.levelname:<7} {record.name}: {_text(record)}{fields}"


def redact(name: str, value: Any, secret: bool = False) -> Any:
    """`value` of a log field called `name`, fit to be printed; `secret` when what contains it is one."""
    secret = secret or bool(_SECRET_NAME.fullmatch(name))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return MASK if secret else bytes(value).hex()[:MAX_TEXT]
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if isinstance(value, dict):
        return {str(key): redact(str(key), item, secret) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(name, item, secret) for item in value]
    text = str(value)[:MAX_TEXT]
    return _HEX_RUN.sub(MASK, text) if secret else redact_text(text)


def redact_text(text: str) -> str:
    """Free text with every long hex run that follows a secret's name masked."""
    return _NAMED_IN_TEXT.sub(lambda found: f"{found['name']}{found['between']}{MASK}", text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: redact(name, value) for name, value in vars(record).items() if name not in _STANDARD}


def _text(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return redact_text(text[: 10 * MAX_TEXT])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
