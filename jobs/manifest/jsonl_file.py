"""JSONL manifests: one object on each line, flat or in the nested form of `failed.jsonl`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from jobs.catalog.storable import json_fault
from jobs.errors import Fault
from jobs.manifest.lines import Lines
from jobs.manifest.values import METADATA_PREFIX, RESERVED, RowFault, SourceRow

#: What `failed.jsonl` says about a row beyond what the row asked for.
REPORTED = frozenset({"row", "job_id", "state", "error"})
GROUPS = ("params", "inputs", "metadata")


def jsonl_rows(path: Path) -> Iterator[SourceRow | RowFault]:
    """The rows of the file; blank lines are passed over and not counted."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = Lines(file)
        number = 0
        for text in lines:
            if text.isspace():
                continue
            number += 1
            faults = lines.faults()
            cells: dict[str, Any] = {}
            if not faults:
                cells, faults = _cells(text)
            if faults:
                yield RowFault(source_row=number, line=lines.number, faults=faults)
            else:
                yield SourceRow(number=number, line=lines.number, cells=cells, is_text=False)


def _cells(text: str) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return {}, _one("bad_json", f"is not JSON: {error.msg} at column {error.colno}")
    except ValueError as error:
        return {}, _one("bad_json", f"is not JSON: {error}")
    except RecursionError:
        return {}, _one("bad_json", "is nested too deeply")
    if not isinstance(value, dict):
        return {}, _one("bad_json", "must be a JSON object, in braces")
    if fault := json_fault(value):
        return {}, _one("bad_value", fault)
    return flatten(value)


def flatten(row: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """The cells of a row in either form. A null counts as absent."""
    is_nested = "params" in row or "inputs" in row
    cells: dict[str, Any] = {}
    faults: tuple[Fault, ...] = ()
    for key, value in row.items():
        if value is None or (is_nested and key in REPORTED):
            continue
        if key not in GROUPS:
            if is_nested and key not in RESERVED:
                faults += _one("unknown_key", "belongs into `params` or `inputs`", key)
            cells[key] = value
        elif not isinstance(value, dict):
            faults += _one("wrong_type", "must be an object, in braces", key)
        else:
            prefix = METADATA_PREFIX if key == "metadata" else ""
            cells |= {f"{prefix}{name}": v for name, v in value.items() if v is not None}
    return cells, faults


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _one(code: str, message: str, field: str = "") -> tuple[Fault, ...]:
    return (Fault(field=field, code=code, message=message),)
