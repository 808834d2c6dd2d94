"""What an experiment is: a name, the promise that it backs, its steps, and its own pass rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

from tests.faults import experiments
from tests.faults.audit import Audit
from tests.faults.rig import Rig
from tests.faults.setup import Setup

Steps = Callable[[Rig], None]
Rule = Callable[[Rig, Audit], None]


class NotHere(Exception):
    """The machine does not let this experiment be done."""


def nothing_more(rig: Rig, found: Audit) -> None:
    """The rule of an experiment that asks for no more than all of them do."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One named experiment."""

    name: str
    #: The promise, as users read it.
    promise: str
    steps: Steps
    setup: Setup = field(default_factory=Setup)
    rule: Rule = nothing_more
    #: Figures of the audit that are allowed not to be 0, for the experiment causes them.
    allows: frozenset[str] = frozenset()


def all_experiments() -> Iterator[Experiment]:
    """Every experiment of the folder, by its file and its place in it."""
    for module in sorted(iter_modules(experiments.__path__), key=lambda found: found.name):
        yield from import_module(f"{experiments.__name__}.{module.name}").EXPERIMENTS
