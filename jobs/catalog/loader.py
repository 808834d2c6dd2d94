"""The TOML files beside this module -> frozen operations, read once."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jobs.catalog.operation import Operation
from jobs.catalog.storable import shown
from jobs.catalog.suggestion import did_you_mean
from jobs.errors import Fault, InvalidJob

HERE = Path(__file__).parent
#: Not operations, but what they have in common.
SHARED = "shared.toml"


@cache
def catalog() -> Mapping[str, Operation]:
    """Every operation by its name."""
    return MappingProxyType(read(HERE))


@cache
def addressed() -> Mapping[str, Operation]:
    """Every operation with an address of its own."""
    own = {name: found for name, found in catalog().items() if found.has_address}
    return MappingProxyType(own)


def operation(name: str) -> Operation:
    """The operation called `name`; raises InvalidJob with the closest names if there is none."""
    found = catalog().get(name)
    if found is None:
        hint = did_you_mean(name, tuple(catalog()))
        message = f"{shown(name)} is not a known operation{hint}"
        raise InvalidJob([Fault(field="operation", code="unknown_operation", message=message)])
    return found


def read(folder: Path, shared: Path | None = None) -> dict[str, Operation]:
    """Every operation in a folder of TOML files; a file that makes no sense raises ValueError.

    What they have in common lies beside them, unless `shared` says where.
    """
    common = tomllib.loads((shared or folder / SHARED).read_text(encoding="utf-8"))
    operations: dict[str, Operation] = {}
    for path in sorted(folder.glob("*.toml")):
        if path.name == SHARED:
            continue
        for entry in _entries(path):
            parameters = [_filled_in(parameter, common) for parameter in entry["parameters"]]
            found = Operation.model_validate({**entry, "parameters": parameters})
            if found.name in operations:
                raise ValueError(f"{path.name}: {found.name} is in the catalog twice")
            operations[found.name] = found
    return operations


def _entries(path: Path) -> list[dict[str, Any]]:
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    if tables.keys() != {"operation"}:
        raise ValueError(f"{path.name} holds something else than operations")
    entries: list[dict[str, Any]] = tables["operation"]
    return entries


def _filled_in(entry: dict[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter with what it is `like` and the image rule that it names."""
    own = dict(entry)
    like = own.pop("like", None)
    try:
        filled = {"name": like, **shared["parameters"][like], **own} if like else own
        if isinstance(rule := filled.get("image"), str):
            filled["image"] = shared["images"][rule]
    except KeyError as error:
        raise ValueError(f"{entry} refers to {error}, which {SHARED} does not hold") from error
    return filled
