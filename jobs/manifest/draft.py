"""One row and one set of overrides become one job, and all that is wrong with it is found."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.catalog.fields import entry_hint, mix_params
from jobs.catalog.operation import Operation
from jobs.catalog.text import value_of
from jobs.catalog.validate import clean
from jobs.errors import Fault
from jobs.inputs import Policy
from jobs.manifest.pictures import find_input
from jobs.manifest.values import (
    METADATA_PREFIX,
    NAME,
    PRIORITY,
    RESERVED,
    JobRow,
    SourceRow,
)

#: What is said of a value that is neither a file nor a reference to one.
NO_FILE = frozenset({"wrong_type", "input_unreadable"})
#: The column in the database is a 32-bit integer.
MAX_PRIORITY = 2**31 - 1


def draft(
    source: SourceRow,
    operation: Operation,
    overrides: Mapping[str, str],
    *,
    folder: Path,
    policy: Policy,
) -> tuple[JobRow, tuple[Fault, ...]]:
    """The job, numbered 0, and its faults; with any fault the job is only a sketch."""
    said = {name: _override(source, operation, name, text) for name, text in overrides.items()}
    cells = mix_params(operation, source.cells, said, from_text=source.is_text)
    cells = {name: value for name, value in cells.items() if value is not None or name not in said}
    raw, inputs, metadata = _sort(operation, cells)
    params, faults = clean(operation, raw, files=inputs.keys(), from_text=source.is_text)
    located, bad_inputs = _inputs(operation, inputs, folder, policy)
    priority, bad_priority = _priority(cells.get(PRIORITY, 0))
    name, bad_name = _name(cells.get(NAME))
    job = JobRow(
        row=0,
        source_row=source.number,
        operation=operation.name,
        params=params,
        inputs=located,
        name=name,
        priority=priority,
        metadata=metadata,
    )
    return job, (*faults, *bad_inputs, *bad_priority, *bad_name)


def _sort(
    operation: Operation, cells: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The cells that are parameters, input files, and metadata."""
    params: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for name, value in cells.items():
        if name in RESERVED:
            continue
        if name.startswith(METADATA_PREFIX):
            metadata[name.removeprefix(METADATA_PREFIX)] = value
        elif operation.file(name) is not None:
            inputs[name] = value
        else:
            params[name] = value
    return params, inputs, metadata


def _override(source: SourceRow, operation: Operation, name: str, text: str) -> Any:
    """What an option says, as the row would; None if it is to take the row's value away."""
    if text == "":
        return None
    # Overrides are text even where the row's own cells are values.
    parameter = None if source.is_text else operation.parameter(name)
    return text if parameter is None else value_of(text, parameter.kind)


def _inputs(
    operation: Operation, inputs: Mapping[str, object], folder: Path, policy: Policy
) -> tuple[dict[str, str], list[Fault]]:
    located: dict[str, str] = {}
    faults: list[Fault] = []
    for name, value in inputs.items():
        if not isinstance(value, str):
            message = "must be the path of a file, or a reference to one"
            found: tuple[Fault, ...] = (Fault(field=name, code="wrong_type", message=message),)
        else:
            located[name], found = find_input(
                operation.name, name, value, folder=folder, policy=policy
            )
        faults += [_hinted(operation, fault) for fault in found]
    return located, faults


def _hinted(operation: Operation, fault: Fault) -> Fault:
    """The fault; where no such file is listed it may well be no file that was meant."""
    is_listed = operation.parameter(fault.field) is not None
    if is_listed or operation.fields_name is None or fault.code not in NO_FILE:
        return fault
    hint = entry_hint(operation.fields_name, fault.field)
    return replace(fault, message=fault.message + hint)


def _priority(value: object) -> tuple[int, tuple[Fault, ...]]:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) <= MAX_PRIORITY:
        return number, ()
    message = f"must be a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}"
    return 0, (Fault(field=PRIORITY, code="bad_priority", message=message),)


def _name(value: object) -> tuple[str | None, tuple[Fault, ...]]:
    if value is None or isinstance(value, str):
        return value or None, ()
    return None, (Fault(field=NAME, code="wrong_type", message="must be text"),)
