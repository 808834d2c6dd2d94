"""Whether a value survives its way through JSON, a form and the database."""

import math
import re
from typing import Any

#: A lone surrogate is half a character: it cannot be encoded. Postgres takes no NUL in text.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

#: Deep enough for v1's `extras`, and far from the depth at which JSON encoders give up.
MAX_DEPTH = 20
#: The largest integer that every JSON reader and database keeps.
MAX_INTEGER = 2**63 - 1

#: More of a value than this adds nothing to a message.
SHOWN_LENGTH = 60


def text_fault(text: str) -> str | None:
    """Why this text cannot be stored, or None."""
    if text.isascii() and "\0" not in text:
        return None
    found = _UNSTORABLE.search(text)
    if found is None:
        return None
    return "must not contain a NUL character" if found[0] == "\0" else "must be valid Unicode text"


def number_fault(number: int | float) -> str | None:
    """Why this number cannot be stored, or None."""
    if isinstance(number, float):
        return None if math.isfinite(number) else "must be a finite number"
    return None if abs(number) <= MAX_INTEGER else "has too many digits"


def json_fault(value: Any, depth: int = 0) -> str | None:
    """Why this value cannot be stored as JSON, or None."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, int | float):
        return number_fault(value)
    if depth == MAX_DEPTH:
        return f"must not be nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "must have text as keys"
        parts = [*value, *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return f"must not hold a {type(value).__name__}"
    return next((why for part in parts if (why := json_fault(part, depth + 1))), None)


def shown(value: object) -> str:
    """A value as a message can hold it: short, on one line, storable."""
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "a number with too many digits"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value[: SHOWN_LENGTH + 1] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."
