"""The API answers with errors, or with what is no answer."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect


class Under:
    """Steps: work under faults, given as `status_500=0.2`, or as `"0.5x3"` for three at the most.

    In the short form what is rare is more frequent, and bounded: few jobs have to meet it.
    """

    def __init__(self, **rules: float | str) -> None:
        self._rules = rules

    def __call__(self, rig: Rig) -> None:
        """Submit under the faults, and wait: they stay until all is at rest."""
        rules = self._rules if rig.is_long else {n: shortened(p) for n, p in self._rules.items()}
        rig.upstream.fault(**rules)
        rig.submit(rig.count(24, 300))
        rig.until_settled()


def shortened(probability: float | str) -> float | str:
    """The same fault for a few jobs."""
    return probability if isinstance(probability, str) else f"{min(0.5, probability * 5)}x3"


def nothing_uncertain(rig: Rig, found: Audit) -> None:
    """The API said that nothing was made; nothing was charged, and no job waits for a person."""
    expect(found.uncertain == 0, "nothing is uncertain")
    expect(found.charges == found.succeeded, "only what succeeded was charged")
    expect(found.held == 0, "nobody has to decide")


def all_succeed(rig: Rig, found: Audit) -> None:
    """What can be asked for again, is; without paying."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.charges == found.jobs, "each job was charged once")


def some_uncertain(rig: Rig, found: Audit) -> None:
    """Lost answers are on record, and asked for once more at the most."""
    expect(found.uncertain > 0, "the fault was met")
    expect(found.second_charges <= found.uncertain, "each second charge is explained")
    expect(max(job.resubmits for job in rig.jobs()) <= 1, "no job was sent again twice")


EXPERIMENTS = [
    Experiment(
        name="api-500",
        promise="The API's own 500 is tried again, three times at the most, and costs nothing.",
        steps=Under(status_500=0.2),
        rule=nothing_uncertain,
    ),
    Experiment(
        name="api-502-504",
        promise="A gateway's error may hide a charge: it is uncertain, never a silent repeat.",
        steps=Under(status_502=0.1, status_504=0.1),
        rule=some_uncertain,
    ),
    Experiment(
        name="api-reset-before-charge",
        promise="A call that breaks after it was sent is uncertain, though it was not charged.",
        steps=Under(reset_before_charge=0.1),
        rule=some_uncertain,
    ),
    Experiment(
        name="api-reset-after-charge",
        promise="An answer lost after the charge is on record, and repeated once at the most.",
        steps=Under(reset_after_charge=0.05),
        rule=some_uncertain,
    ),
    Experiment(
        name="api-hangs",
        promise="A call that is never answered ends after a time, and is uncertain.",
        steps=Under(hang="1x3"),
        rule=some_uncertain,
        setup=Setup(settings={"DARKROOM_ANSWER_SECONDS": "4"}),
    ),
    Experiment(
        name="api-truncates",
        promise="Half an answer is never an output.",
        steps=Under(truncate=0.05, poll_truncate=0.05),
        rule=some_uncertain,
    ),
    Experiment(
        name="api-garbage",
        promise="Bytes that are no picture are never an output, whatever they say they are.",
        steps=Under(garbage=0.1, wrong_type=0.1),
        rule=some_uncertain,
    ),
    Experiment(
        name="polls-fail",
        promise="No answer to a poll but a 404 can end a job that is paid.",
        steps=Under(
            poll_500=0.1, poll_502=0.1, poll_reset=0.1, poll_garbage=0.1, poll_wrong_type=0.1
        ),
        rule=all_succeed,
    ),
    Experiment(
        name="api-429-storm",
        promise="A 429 stops everybody for the lock-out, and spends no try.",
        steps=Under(status_429="0.3x4"),
        rule=all_succeed,
        allows=frozenset({"refusals"}),
    ),
]
