"""Parameters that are laid over others, down to the entries of an object of fields.

Its entries may also come one by one, as `fields.prompt`.
"""

from collections.abc import Mapping
from typing import Any

from jobs.catalog.operation import Kind, Operation
from jobs.catalog.text import value_of


def mix_params(
    operation: Operation,
    under: Mapping[str, Any],
    over: Mapping[str, Any],
    *,
    from_text: bool = False,
) -> dict[str, Any]:
    """Parameters over others, name by name, and the entries of their fields just so.

    With `from_text` (CSV, `k=v`) fields and entries are text to be read.
    """
    both = {**under, **over}
    whole = operation.fields_name
    if whole is None:
        return both
    lower = _entries(operation, whole, under, from_text=from_text)
    upper = _entries(operation, whole, over, from_text=from_text)
    if lower is None or upper is None:
        return both
    others = {
        name: value
        for name, value in both.items()
        if name != whole and not _is_entry(operation, whole, name)
    }
    return {**others, whole: {**lower, **upper}}


def entry_hint(whole: str, name: str = "NAME") -> str:
    """What to say to who gives a field as if it were a parameter."""
    return f"; a field of the API's own is given as {whole}.{name}"


def _entries(
    operation: Operation, whole: str, params: Mapping[str, Any], *, from_text: bool
) -> dict[str, Any] | None:
    """The entries that are given in either way; None if none is, or if they are no object."""
    names = [name for name in params if _is_entry(operation, whole, name)]
    told = params.get(whole, {} if names else None)
    if from_text:
        told = value_of(told, Kind.FIELDS)
    if not isinstance(told, Mapping):
        return None
    alone = {name.partition(".")[2]: params[name] for name in names}
    if from_text:
        # Empty text counts as absent.
        alone = {
            name: None if text == "" else value_of(text, Kind.SCALAR)
            for name, text in alone.items()
        }
    return {**told, **alone}


def _is_entry(operation: Operation, whole: str, name: str) -> bool:
    return name.startswith(f"{whole}.") and operation.parameter(name) is not None
