"""Logs: one event a line, with fields, and no secret in any of them."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

#: Secrets as they look in text: bearer headers, Stability's and Darkroom's keys, and passwords
#: and signatures in addresses.
SECRETS = re.compile(
    r"(?i)bearer\s+[^\s'\"]+|\b(?:sk|dk)[-_][A-Za-z0-9_-]{8,}|(?<=://)[^/@\s]*:[^/@\s]+(?=@)"
    r"|X-Amz-(?:Signature|Credential|Security-Token)=[^&\s'\"]+"
)

#: A shorter text would turn up in words that are none.
LEAST_SECRET = 8

log: structlog.stdlib.BoundLogger = structlog.get_logger("darkroom")


_known: set[str] = set()


def protect(*secrets: str) -> None:
    """Keep these texts, too, out of everything that is logged or shown."""
    _known.update(secret for secret in secrets if len(secret) >= LEAST_SECRET)


def redact(text: str) -> str:
    """Replace what is, or looks like, a secret."""
    for secret in _known:
        text = text.replace(secret, "[secret]")
    return SECRETS.sub("[secret]", text)


def redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Redact every field of a record."""
    for name, value in event.items():
        event[name] = redact_value(value)
    return event


def redact_value(value: Any) -> Any:
    """Redact every text in a value, however deep it lies."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: redact_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(inner) for inner in value]
    return value


def configure_logs(level: str = "info", *, process: str = "") -> None:
    """Write to stderr: for people on a terminal, else as JSON lines."""
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    if process:
        structlog.contextvars.bind_contextvars(process=process)


class Changes:
    """Says a thing once when it changes, not at every try."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, part: str, state: str, **fields: Any) -> None:
        """Log that `part` is in `state` now, unless that was the last thing said of it."""
        if self._said.get(part, "ok") == state:
            return
        self._said[part] = state
        write = log.info if state == "ok" else log.warning
        write("part_changed", part=part, state=state, **fields)
