"""Parameters as they came -> clean parameters and every fault at once. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jobs.catalog.checks import Check, check_of
from jobs.catalog.fields import entry_hint
from jobs.catalog.operation import Kind, Operation, Parameter
from jobs.catalog.storable import SHOWN_LENGTH, shown
from jobs.catalog.suggestion import did_you_mean
from jobs.catalog.ties import tie_faults
from jobs.errors import Fault


def clean(
    operation: Operation,
    params: Mapping[str, Any],
    *,
    files: Collection[str] = (),
    from_text: bool = False,
) -> tuple[dict[str, Any], list[Fault]]:
    """The parameters to send, and all that is wrong with them.

    `files` names the file parameters that are supplied; they are not in `params`. With `from_text`
    (CSV, a form, `k=v`) text is read as the parameter's kind and empty text counts as absent.
    None always counts as absent. No value is changed otherwise, but for two spellings of the same:
    a whole 7.0 becomes 7, and v1's plain prompt a list of one.
    """
    plan = _plan(operation, from_text)
    checks = plan.checks
    cleaned: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in params.items():
        if value is None or (from_text and value == ""):
            continue
        check = checks.get(name) or _entry_check(operation, name, from_text)
        if check is None:
            faults.append(_unknown(name, plan.names, plan.fields))
            continue
        checked = check(value)
        if isinstance(checked, Fault):
            faults.append(checked)
        else:
            cleaned[name] = checked
    given = {*cleaned, *files, *(fault.field for fault in faults)}
    faults += [_misplaced(name, plan) for name in files if operation.file(name) is None]
    faults += [fault for name, fault in plan.missing.items() if name not in given]
    if plan.has_ties:
        faults += tie_faults(operation, cleaned, given)
    return _gathered(cleaned), faults


def _entry_check(operation: Operation, name: Any, from_text: bool) -> Check | None:
    """The check of one entry of an object of fields: `fields.prompt`."""
    entry = operation.parameter(name) if isinstance(name, str) else None
    return None if entry is None else check_of(entry, from_text=from_text)


def _gathered(params: dict[str, Any]) -> dict[str, Any]:
    """The same, with the entries that were given one by one in the object that they belong to."""
    for name in [name for name in params if "." in name]:
        whole, _, entry = name.partition(".")
        params[whole] = {**params.get(whole, {}), entry: params.pop(name)}
    return params


@dataclass(frozen=True, slots=True)
class _Plan:
    """What can be known of an operation before any job of it comes."""

    checks: Mapping[str, Check]
    names: tuple[str, ...]
    files: frozenset[str]
    #: The object of fields, if there is one.
    fields: str | None
    #: The fault of each required parameter that is not given.
    missing: Mapping[str, Fault]
    has_ties: bool


@lru_cache(maxsize=256)
def _plan(operation: Operation, from_text: bool) -> _Plan:
    parameters = operation.parameters
    return _Plan(
        checks={p.name: check_of(p, from_text=from_text) for p in parameters},
        names=tuple(p.name for p in parameters),
        files=frozenset(p.name for p in parameters if p.kind is Kind.FILE),
        fields=operation.fields_name,
        missing={
            p.name: Fault(field=p.name, code="required", message=_required(operation, p))
            for p in parameters
            if p.required
        },
        has_ties=bool(operation.ties or operation.output_sizes),
    )


def _required(operation: Operation, parameter: Parameter) -> str:
    if parameter.name == operation.price.stated_by:
        return (
            "is required: say what one success will cost, for no budget can hold what has no price"
        )
    return "is required"


def _unknown(name: Any, names: tuple[str, ...], fields: str | None = None) -> Fault:
    """Even the name may be hostile, and it is stored and shown."""
    field = name if isinstance(name, str) and name.isprintable() else shown(name)
    hint = did_you_mean(field, names)
    if fields is not None and not hint:
        hint = entry_hint(fields)
    message = f"is not a parameter of this operation{hint}"
    return Fault(field=field[:SHOWN_LENGTH], code="unknown_parameter", message=message)


def _misplaced(name: str, plan: _Plan) -> Fault:
    if name not in plan.names:
        return _unknown(name, tuple(plan.files))
    return Fault(field=name, code="not_a_file", message="is not a file; give it under params")
