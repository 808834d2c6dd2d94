"""The steps of a flow, and how they hang together; nothing is let in here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from jobs.catalog.loader import operation as find_operation
from jobs.errors import Fault
from jobs.models import new_id
from jobs.queue.intake import NewJob
from jobs.references import OutputReference

#: At most; more jobs are a batch's affair.
MOST_STEPS = 200
NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
TIE_FORM = re.compile(rf"\$({NAME})(?:#(\d{{1,4}}))?")


@dataclass(frozen=True)
class Tie:
    """An input that is another step's output, counted from 0."""

    step: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """A checked job without the inputs that come from other steps."""

    name: str
    job: NewJob
    ties: Mapping[str, Tie] = field(default_factory=dict)
    #: Steps that must have succeeded before, though nothing of them is used.
    after: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """All steps that it waits for, each once."""
        return tuple(dict.fromkeys((*(tie.step for tie in self.ties.values()), *self.after)))


def parse_tie(text: str) -> Tie | None:
    """`$other` or `$other#1`."""
    found = TIE_FORM.fullmatch(text)
    return None if found is None else Tie(found[1], int(found[2] or 0))


def step_faults(steps: Sequence[Step], names: Sequence[str]) -> list[Fault]:
    """What is wrong with how they hang together; `names` are of the faulty steps too."""
    by_name = {step.name: step for step in steps}
    faults = []
    for step in steps:
        for place, needed in enumerate(step.after):
            if needed not in names:
                faults.append(unknown(f"steps.{step.name}.depends_on[{place}]", needed, names))
        for name, tie in step.ties.items():
            where = f"steps.{step.name}.inputs.{name}"
            if tie.step not in names:
                faults.append(unknown(where, tie.step, names))
            elif tie.step in by_name:
                faults += tie_faults(where, tie, by_name[tie.step].job)
    return faults + cycle_faults(steps)


def unknown(where: str, step: str, names: Sequence[str]) -> Fault:
    """A step that is not there."""
    message = f"there is no step {step}; the steps are {', '.join(names)}"
    return Fault(field=where, code="unknown_step", message=message)


def tie_faults(where: str, tie: Tie, needed: NewJob) -> list[Fault]:
    """Whether the other step gives such an output at all."""
    media = find_operation(needed.operation).media
    if media == "any":
        # Only its answer tells, and the worker looks at it.
        return []
    if media != "image":
        message = f"${tie.step} gives a {media}, and no image"
        return [Fault(field=where, code="not_an_image", message=message)]
    outputs = int(needed.params.get("samples", 1))
    if tie.number >= outputs:
        message = f"${tie.step} gives {outputs} output(s), counted from #0"
        return [Fault(field=where, code="unknown_output", message=message)]
    return []


def cycle_faults(steps: Sequence[Step]) -> list[Fault]:
    """The steps that wait for each other."""
    try:
        ordered(steps)
    except CycleError as error:
        # Each of the list is needed by the one behind it.
        way = " → ".join(reversed(error.args[1]))
        return [Fault(field="steps", code="cycle", message=f"wait for each other: {way}")]
    return []


def ordered(steps: Sequence[Step]) -> list[Step]:
    """Each step behind those that it needs; raises CycleError."""
    by_name = {step.name: step for step in steps}
    sorter = TopologicalSorter({step.name: step.needs for step in steps})
    return [by_name[name] for name in sorter.static_order() if name in by_name]


def tied(steps: Sequence[Step]) -> dict[str, NewJob]:
    """The jobs with their ids and with all of their inputs, each behind those that it needs."""
    in_order = ordered(steps)
    ids = {step.name: new_id() for step in in_order}
    return {step.name: _tied(step, ids) for step in in_order}


def _tied(step: Step, ids: Mapping[str, str]) -> NewJob:
    outputs = {
        name: str(OutputReference(ids[tie.step], tie.number)) for name, tie in step.ties.items()
    }
    return replace(
        step.job,
        id=ids[step.name],
        inputs={**step.job.inputs, **outputs},
        depends_on=tuple(ids[name] for name in step.after),
    )
