"""Answers are lost one after the other."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect, hold

#: Five open the breaker; so many may be on their way by then: about a second's worth of the rate,
#: and never fewer than eight.
MOST_LOST = 5 + 8


def steps(rig: Rig) -> None:
    """Lose every answer while results are polled for, until the breaker opens; then heal."""
    polled = rig.submit(4, "async")
    rig.until(lambda: all(j.accepted_at for j in rig.jobs()), "results are waited for")
    rig.upstream.fault(reset_after_charge=1.0)
    rig.submit(rig.count(30, 60), "sync")
    rig.until(lambda: rig.uncertain() >= 5, "answers are lost")
    hold(2)
    lost, polls = rig.uncertain(), rig.upstream.ledger().polls
    expect(lost <= MOST_LOST, f"the breaker opened: {lost} answers were lost")
    hold(2)
    expect(rig.uncertain() == lost, "nothing more is paid")
    expect(rig.upstream.ledger().polls > polls, "polls go on")
    rig.upstream.heal()
    rig.until(
        lambda: all(rig.job(job_id).state == "succeeded" for job_id in polled), "results came"
    )


def rule(rig: Rig, found: Audit) -> None:
    """A probe closed it again."""
    expect(found.uncertain <= MOST_LOST, "a handful of answers was lost")
    expect(found.succeeded + found.held == found.jobs, "the others succeeded")


EXPERIMENTS = [
    Experiment(
        name="breaker",
        promise="After five lost answers in a row only probes are paid for; polls go on.",
        steps=steps,
        rule=rule,
        setup=Setup(workers=1, async_latency="8", settings={"DARKROOM_RATE": "12/2s"}),
    )
]
