"""Text of a CSV cell, a form field or a command line -> the value that it stands for.

What does not look like a value of its kind stays text, for the check to refuse.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from jobs.catalog.operation import Kind

#: Stricter than `int` and `float`, which also take `1_000`, other alphabets' digits and `nan`.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


def value_of(text: Any, kind: Kind) -> Any:
    """The value of this kind that a text stands for; what is no text stays as it is."""
    if kind is Kind.PROMPTS:
        return _prompts(text)
    read = _READERS.get(kind)
    return read(text) if read is not None and isinstance(text, str) else text


def _number(text: str) -> int | float | str:
    stripped = text.strip()
    if _INTEGER.fullmatch(stripped):
        return int(stripped)
    return float(stripped) if _NUMBER.fullmatch(stripped) else text


def _boolean(text: str) -> bool | str:
    return _BOOLEANS.get(text.strip().lower(), text)


def _scalar(text: str) -> bool | int | float | str:
    """A number, true or false where a form would spell it just so; else the text as it is."""
    for read in (_boolean, _number):
        value = read(text)
        if not isinstance(value, str) and spelled(value) == text:
            return value
    return text


def spelled(value: object) -> str:
    """A value as a field of a form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _prompts(value: Any) -> Any:
    """A list of prompts, maybe as JSON; a single prompt may well begin with a bracket too."""
    is_json = isinstance(value, str) and value.startswith("[")
    found = _json(value) if is_json else value
    return [_prompt(item) for item in found] if isinstance(found, list) else value


def _prompt(item: Any) -> Any:
    """A prompt whose weight may be text: a form has nothing else."""
    if not isinstance(item, dict) or "weight" not in item:
        return item
    return {**item, "weight": value_of(item["weight"], Kind.NUMBER)}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_READERS: dict[Kind, Callable[[str], Any]] = {
    Kind.INTEGER: _number,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.OBJECT: _json,
    Kind.FIELDS: _json,
    Kind.SCALAR: _scalar,
}
