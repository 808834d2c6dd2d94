"""A parameter of the catalog -> the check of its value, made once and called a million times.

A check returns the clean value, or the Fault that stands in its way.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from jobs.catalog.addresses import address_refusal
from jobs.catalog.operation import Kind, Parameter
from jobs.catalog.storable import json_fault, number_fault, shown, text_fault
from jobs.catalog.suggestion import did_you_mean
from jobs.catalog.text import value_of
from jobs.errors import Fault

Check = Callable[[Any], Any]
#: Why a value is refused, as (code, message), or None.
Refusal = tuple[str, str] | None

PROMPT_KEYS = frozenset({"text", "weight"})


def check_of(parameter: Parameter, *, from_text: bool = False) -> Check:
    """The check of this parameter; with `from_text` it first reads text as the value's kind."""
    check = _MAKERS[parameter.kind](parameter)
    kind = parameter.kind
    if not from_text or kind in (Kind.STRING, Kind.FILE):
        return check
    return lambda value: check(value_of(value, kind))


def _string(parameter: Parameter) -> Check:
    if parameter.values is not None:
        return _one_of(parameter)
    name = parameter.name
    refusal_of = _text_refusal(parameter)

    def check(value: Any) -> Any:
        refusal = refusal_of(value)
        return value if refusal is None else _fault(name, refusal)

    return check


def _text_refusal(parameter: Parameter) -> Callable[[Any], Refusal]:
    shortest = parameter.min_length or 0
    longest = parameter.max_length
    pattern = re.compile(parameter.pattern) if parameter.pattern else None

    def refusal_of(value: Any) -> Refusal:
        if not isinstance(value, str):
            return "wrong_type", f"must be text, not {shown(value)}"
        if (why := text_fault(value)) is not None:
            return "unstorable", why
        if len(value) < shortest:
            return "too_short", "must not be empty"
        if longest is not None and len(value) > longest:
            return "too_long", f"must have at most {longest:,} characters, not {len(value):,}"
        if pattern is not None and not pattern.fullmatch(value):
            return "bad_form", f"must match {pattern.pattern}; {shown(value)} does not"
        return None

    return refusal_of


def _one_of(parameter: Parameter) -> Check:
    values = parameter.values or ()
    names = tuple(str(value) for value in values)
    # The API knows `texture_resolution` as text; as a number it is the same on the wire.
    allowed = frozenset([*values, *names, *(int(name) for name in names if name.isdecimal())])
    choice = f"must be one of {', '.join(names)}"

    def check(value: Any) -> Any:
        if isinstance(value, str | int) and not isinstance(value, bool) and value in allowed:
            return value
        hint = did_you_mean(value, names) if isinstance(value, str) and len(names) > 5 else ""
        message = f"{choice}, not {shown(value)}{hint}"
        return Fault(field=parameter.name, code="not_allowed", message=message)

    return check


def _integer(parameter: Parameter) -> Check:
    name = parameter.name
    range_refusal = _range_refusal(parameter)

    def check(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            # A table with a gap in a column turns its integers into 7.0: the same number.
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            message = f"must be a whole number, not {shown(value)}"
            return Fault(field=name, code="wrong_type", message=message)
        refusal = range_refusal(value)
        return value if refusal is None else _fault(name, refusal)

    return check


def _number(parameter: Parameter) -> Check:
    name = parameter.name
    refusal_of = _number_refusal(parameter)

    def check(value: Any) -> Any:
        refusal = refusal_of(value)
        return value if refusal is None else _fault(name, refusal)

    return check


def _number_refusal(parameter: Parameter) -> Callable[[Any], Refusal]:
    range_refusal = _range_refusal(parameter)

    def refusal_of(value: Any) -> Refusal:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "wrong_type", f"must be a number, not {shown(value)}"
        return range_refusal(value)

    return refusal_of


def _range_refusal(parameter: Parameter) -> Callable[[float], Refusal]:
    minimum, maximum = _bound(parameter.minimum), _bound(parameter.maximum)
    multiple = parameter.multiple_of

    def refusal_of(value: float) -> Refusal:
        if (why := number_fault(value)) is not None:
            return "unstorable", why
        if minimum is not None and value < minimum:
            return "too_small", f"must be at least {minimum}, not {shown(value)}"
        if maximum is not None and value > maximum:
            return "too_large", f"must be at most {maximum}, not {shown(value)}"
        if multiple is not None and value % multiple:
            return "not_a_multiple", f"must be a multiple of {multiple}, not {shown(value)}"
        return None

    return refusal_of


def _bound(bound: Decimal | None) -> int | float | None:
    if bound is None:
        return None
    return int(bound) if bound == bound.to_integral_value() else float(bound)


def _boolean(parameter: Parameter) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, bool) or (isinstance(value, str) and value in ("true", "false")):
            return value
        message = f"must be true or false, not {shown(value)}"
        return Fault(field=parameter.name, code="wrong_type", message=message)

    return check


def _file(parameter: Parameter) -> Check:
    def check(_value: Any) -> Any:
        message = "is a file; give it under inputs, not under params"
        return Fault(field=parameter.name, code="is_a_file", message=message)

    return check


def _prompts(parameter: Parameter) -> Check:
    name = parameter.name
    text_refusal = _text_refusal(parameter)
    weight_refusal = _number_refusal(Parameter(name="weight", kind=Kind.NUMBER))

    def refusal_of(prompt: Any) -> Refusal:
        if not isinstance(prompt, dict) or not {"text"} <= prompt.keys() <= PROMPT_KEYS:
            return "wrong_type", "must have a text, maybe a weight, and nothing else"
        refusal = text_refusal(prompt["text"])
        if refusal is None and "weight" in prompt:
            refusal = weight_refusal(prompt["weight"])
        return refusal

    def check(value: Any) -> Any:
        prompts = [{"text": value}] if isinstance(value, str) else value
        if not isinstance(prompts, list) or not prompts:
            message = "must be text, or a list of at least one {text, weight}"
            return Fault(field=name, code="wrong_type", message=message)
        for number, prompt in enumerate(prompts, start=1):
            if (refusal := refusal_of(prompt)) is not None:
                code, message = refusal
                return Fault(field=name, code=code, message=f"prompt {number} {message}")
        return prompts

    return check


def _object(parameter: Parameter) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            message = f"must be an object, not {shown(value)}"
            return Fault(field=parameter.name, code="wrong_type", message=message)
        why = json_fault(value)
        return value if why is None else _fault(parameter.name, ("unstorable", why))

    return check


def _fields(parameter: Parameter) -> Check:
    check_object = _object(parameter)

    def check(value: Any) -> Any:
        checked = check_object(value)
        if isinstance(checked, Fault):
            return checked
        if not all(name and name.isprintable() for name in checked):
            message = "must have a name for each field, of printable characters"
            return Fault(field=parameter.name, code="bad_form", message=message)
        # As with parameters, null counts as absent.
        return {name: entry for name, entry in checked.items() if entry is not None}

    return check


def _scalar(parameter: Parameter) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, str | int | float):
            message = f"must be text, a number, true or false, not {shown(value)}"
            return Fault(field=parameter.name, code="wrong_type", message=message)
        why = json_fault(value)
        return value if why is None else _fault(parameter.name, ("unstorable", why))

    return check


def _path(parameter: Parameter) -> Check:
    def check(value: Any) -> Any:
        refusal = address_refusal(parameter, value)
        return value if refusal is None else _fault(parameter.name, refusal)

    return check


def _fault(name: str, refusal: tuple[str, str]) -> Fault:
    code, message = refusal
    return Fault(field=name, code=code, message=message)


_MAKERS: dict[Kind, Callable[[Parameter], Check]] = {
    Kind.STRING: _string,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.FILE: _file,
    Kind.PROMPTS: _prompts,
    Kind.OBJECT: _object,
    Kind.FIELDS: _fields,
    Kind.SCALAR: _scalar,
    Kind.PATH: _path,
}
