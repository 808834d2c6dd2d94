"""Input images: references are passed on if their form is allowed, local files are checked."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG

from jobs.assets import REMOTE
from jobs.catalog import loader
from jobs.catalog.images import image_faults
from jobs.catalog.storable import shown
from jobs.errors import Fault
from jobs.inputs import Policy, reference_faults
from jobs.references import parse


def find_input(
    operation: str, name: str, value: str, *, folder: Path, policy: Policy
) -> tuple[str, tuple[Fault, ...]]:
    """The reference as it is, or the absolute path of a file, and what would be refused."""
    if value.startswith(REMOTE):
        return value, _reference_faults(operation, name, value, policy)
    path = folder / value
    try:
        stat = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return str(path), _unreadable(name, f"{shown(value)} cannot be read: {reason}")
    if not S_ISREG(stat.st_mode):
        return str(path), _unreadable(name, f"{shown(value)} is not a file")
    return str(path), _check(operation, name, str(path), stat.st_size, stat.st_mtime_ns)


def _reference_faults(operation: str, name: str, value: str, policy: Policy) -> tuple[Fault, ...]:
    faults = reference_faults(loader.operation(operation), name, value)
    if (reference := parse(value)) is not None:
        # In a manifest the input is a column, and not a field of a body.
        faults += [replace(fault, field=name) for fault in policy.faults(name, reference)]
    return tuple(faults)


# Thousands of rows often share one image; size and time tell when it is another one.
@lru_cache(maxsize=10_000)
def _check(operation: str, name: str, path: str, _size: int, _changed_ns: int) -> tuple[Fault, ...]:
    return tuple(image_faults(loader.operation(operation), name, Path(path)))


def _unreadable(name: str, message: str) -> tuple[Fault, ...]:
    return (Fault(field=name, code="input_unreadable", message=message),)
