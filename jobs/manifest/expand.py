"""Rows become jobs: options laid over them, parameters and images checked, numbers given."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jobs.catalog import loader
from jobs.catalog.operation import Operation
from jobs.errors import Fault, InvalidJob, InvalidManifest
from jobs.inputs import STRICT, Policy
from jobs.manifest.draft import draft
from jobs.manifest.expansion import Expansion, is_known
from jobs.manifest.source import source_rows
from jobs.manifest.values import OPERATION, JobRow, RowFault, SourceRow


def rows(path: Path, expansion: Expansion, policy: Policy = STRICT) -> Iterator[JobRow | RowFault]:
    """The manifest's jobs, in an order that never changes: its rows, then matrix, then repeats.

    A row's faults come after its sound jobs; an input that `policy` would not fetch is one. Raises
    `InvalidManifest` for what concerns the whole file or the options alone.
    """
    if faults := expansion.faults():
        raise InvalidManifest(faults)
    expander = _Expander(path.parent.absolute(), expansion, policy)
    for source in source_rows(path):
        if isinstance(source, RowFault):
            yield source
        else:
            yield from expander.expand(source)
    if unknown := expander.unknown_options():
        yield RowFault(source_row=None, line=None, faults=unknown)


class _Expander:
    """Numbers the jobs, and remembers which operations the manifest used."""

    def __init__(self, folder: Path, expansion: Expansion, policy: Policy) -> None:
        self._folder = folder
        self._expansion = expansion
        self._policy = policy
        self._next_row = 0
        self._used: dict[str, Operation] = {}

    def expand(self, source: SourceRow) -> Iterator[JobRow | RowFault]:
        """The sound jobs of a row, and then whatever is wrong with the others."""
        repeat = self._expansion.repeat
        # Combinations often share a fault, which is then said once.
        faults: dict[Fault, None] = {}
        for name in self._expansion.operations(source.cells.get(OPERATION)):
            operation, trouble = self._operation(name)
            if operation is None:
                faults |= dict.fromkeys(trouble)
                continue
            for overrides in self._expansion.overrides(operation):
                job, found = draft(
                    source, operation, overrides, folder=self._folder, policy=self._policy
                )
                if found:
                    faults |= dict.fromkeys(found)
                else:
                    yield from (replace(job, row=self._next_row + n) for n in range(repeat))
                self._next_row += repeat
        if faults:
            yield RowFault(source_row=source.number, line=source.line, faults=tuple(faults))

    def unknown_options(self) -> tuple[Fault, ...]:
        """The names in the options that mean nothing to any operation of this manifest."""
        named = [("set", name) for name in self._expansion.set]
        named += [("matrix", name) for name in self._expansion.matrix]
        message = "no operation of this manifest has such a parameter"
        return tuple(
            Fault(field=f"--{option} {name}", code="unknown_parameter", message=message)
            for option, name in named
            if self._used and not any(is_known(used, name) for used in self._used.values())
        )

    def _operation(self, name: object) -> tuple[Operation | None, tuple[Fault, ...]]:
        if name is None:
            message = "is missing; name it in a column `operation` or by --operation"
            return None, (Fault(field=OPERATION, code="missing", message=message),)
        if not isinstance(name, str):
            return None, (Fault(field=OPERATION, code="wrong_type", message="must be text"),)
        name = name.strip()
        if name not in self._used:
            try:
                self._used[name] = loader.operation(name)
            except InvalidJob as error:
                return None, error.faults
        return self._used[name], ()
