"""What the options of `run` make of a manifest's rows."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from jobs.catalog.operation import Operation
from jobs.catalog.storable import text_fault
from jobs.errors import InvalidManifest
from jobs.manifest.values import METADATA_PREFIX, OPERATION, RESERVED, one_line


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """The options: `--operation`, `--set`, `--matrix` and `--repeat`."""

    #: For rows that name none.
    operation: str | None = None
    #: Override a row's own values; an empty text takes the value away.
    set: Mapping[str, str] = field(default_factory=dict)
    #: Each row once for every combination, the first name varying slowest.
    matrix: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repeat: int = 1

    def faults(self) -> list[str]:
        """What makes no sense in the options, whatever the manifest says."""
        found = [] if self.repeat >= 1 else ["--repeat: must be 1 or more"]
        found += [
            f"--matrix {name}: has a value in --set too" for name in self.matrix if name in self.set
        ]
        found += [
            f"--matrix {name}: names a value twice, or none"
            for name, values in self.matrix.items()
            if not values or len(set(values)) < len(values)
        ]
        found += [
            f"{option} {name}: {fault}"
            for option, name, value in self._texts()
            if (fault := text_fault(name) or text_fault(value))
        ]
        return [one_line(line) for line in found]

    def operations(self, own: str | None) -> tuple[str | None, ...]:
        """The operations that a row which names `own` becomes."""
        if OPERATION in self.matrix:
            return self.matrix[OPERATION]
        return (self.set.get(OPERATION) or own or self.operation,)

    def overrides(self, operation: Operation) -> Iterator[dict[str, str]]:
        """The values that replace a row's own, one set for each combination.

        A name that the operation does not know does nothing here: a matrix over it must not
        order, and pay for, the same picture twice.
        """
        always = {name: text for name, text in self.set.items() if is_known(operation, name)}
        axes = [
            [(name, value) for value in values]
            for name, values in self.matrix.items()
            if name != OPERATION and is_known(operation, name)
        ]
        for combination in product(*axes):
            yield always | dict(combination)

    def _texts(self) -> Iterator[tuple[str, str, str]]:
        yield from (("--set", name, value) for name, value in self.set.items())
        for name, values in self.matrix.items():
            yield from (("--matrix", name, value) for value in values)


def is_known(operation: Operation, name: str) -> bool:
    """Whether a row of this operation may have a value of this name."""
    if name in RESERVED or name.startswith(METADATA_PREFIX):
        return True
    return operation.parameter(name) is not None or operation.file(name) is not None


def fingerprint(path: Path, expansion: Expansion) -> str:
    """Tells whether it is the same work: the manifest's bytes and the options, not the images."""
    # The matrix keeps its order, which decides the numbers of the rows.
    options = [
        expansion.operation,
        sorted(expansion.set.items()),
        list(expansion.matrix.items()),
        expansion.repeat,
    ]
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise InvalidManifest([f"{path}: {error.strerror}"]) from error
    digest.update(json.dumps(options).encode())
    return digest.hexdigest()
