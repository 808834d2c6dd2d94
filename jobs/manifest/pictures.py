"""Input images: references are passed on, local files are found and checked."""

from functools import lru_cache
from pathlib import Path
from stat import S_ISREG

from jobs.catalog import loader
from jobs.catalog.images import image_faults
from jobs.catalog.storable import shown
from jobs.errors import Fault
from jobs.inputs import reference_faults

#: Inputs that are no local files; whoever fetches them checks them.
REFERENCES = ("asset:", "https://", "s3://", "data:", "job:")


def find_input(
    operation: str, name: str, value: str, *, folder: Path
) -> tuple[str, tuple[Fault, ...]]:
    """The reference as it is, or the absolute path of a file, and what the API would refuse."""
    if value.startswith(REFERENCES):
        return value, tuple(reference_faults(loader.operation(operation), name, value))
    path = folder / value
    try:
        stat = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return str(path), _unreadable(name, f"{shown(value)} cannot be read: {reason}")
    if not S_ISREG(stat.st_mode):
        return str(path), _unreadable(name, f"{shown(value)} is not a file")
    return str(path), _check(operation, name, str(path), stat.st_size, stat.st_mtime_ns)


# Thousands of rows often share one image; size and time tell when it is another one.
@lru_cache(maxsize=10_000)
def _check(operation: str, name: str, path: str, _size: int, _changed_ns: int) -> tuple[Fault, ...]:
    return tuple(image_faults(loader.operation(operation), name, Path(path)))


def _unreadable(name: str, message: str) -> tuple[Fault, ...]:
    return (Fault(field=name, code="input_unreadable", message=message),)
