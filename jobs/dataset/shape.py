"""What type the values of a column have, learned from the values themselves.

JSON has no types, and readers take them from what comes first; what comes first may lack a
parameter, or write 1 for 1.0. So all values are looked at, and then written as what they share.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from jobs.errors import BatchChanged

#: A type's name as Arrow and Hugging Face write it, a list of one shape, fields, or nothing known.
Shape: TypeAlias = "str | list[Shape] | dict[str, Shape] | None"

#: Objects with more fields than these are no columns but data, and become text.
WIDEST = 100

#: Hugging Face's loader takes a text of such a name for the path of a picture, at any depth.
#: With a `_` behind them they are looked at too, so that no two names become one.
PATH_NAME = re.compile(r"(.*_)?file_names?_*", re.DOTALL)

#: Whole numbers beyond these have no type but text.
LEAST_INT, LARGEST_INT = -(2**63), 2**63 - 1


def shape_of(value: object) -> Shape:
    """The shape of one JSON value."""
    match value:
        case None:
            return None
        case bool():
            return "bool"
        case int():
            return "int64" if LEAST_INT <= value <= LARGEST_INT else "string"
        case float():
            return "float64"
        case Mapping():
            fields = {plain_name(name): shape_of(part) for name, part in value.items()}
            return narrow(fields) if fields else None
        case list():
            found: Shape = None
            for part in value:
                found = merged(found, shape_of(part))
            return [found]
        case _:
            return "string"


def merged(one: Shape, other: Shape) -> Shape:
    """The shape that takes the values of both; where nothing else does, text."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        names = one | other
        return narrow({name: merged(one.get(name), other.get(name)) for name in names})
    if isinstance(one, list) and isinstance(other, list):
        return [merged(one[0], other[0])]
    return "float64" if one in NUMBERS and other in NUMBERS else "string"


NUMBERS = ("int64", "float64")


def narrow(fields: dict[str, Shape]) -> Shape:
    """Fields that a reader can have as columns."""
    return fields if len(fields) <= WIDEST else "string"


def settled(shape: Shape) -> Shape:
    """The shape with text where no value was seen."""
    if isinstance(shape, dict):
        return {name: settled(part) for name, part in shape.items()}
    if isinstance(shape, list):
        return [settled(shape[0])]
    return shape or "string"


def conform(value: Any, shape: Shape) -> Any:
    """The value as this settled shape has it; `BatchChanged` if that would lose some of it."""
    # No type can be learned from an empty object, so it may stand among values of any.
    if value is None or value == {}:
        return None
    match shape, value:
        case "string", _:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case dict(), Mapping():
            return _conform_fields(value, shape)
        case list(), list():
            return [conform(part, shape[0]) for part in value]
    found = shape_of(value)
    if shape == "float64" and found == "int64":
        return float(value)
    if found != shape:
        raise BatchChanged
    return value


def _conform_fields(value: Mapping[str, Any], shape: dict[str, Shape]) -> dict[str, Any]:
    named = {plain_name(name): part for name, part in value.items()}
    if any(part not in (None, {}) for name, part in named.items() if name not in shape):
        raise BatchChanged
    return {name: conform(named.get(name), part) for name, part in shape.items()}


def plain_name(name: str) -> str:
    """The name, changed where it would have a meaning of its own."""
    return f"{name}_" if PATH_NAME.fullmatch(name) else name
