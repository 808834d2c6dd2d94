"""The API itself goes away, and comes back with what it was paid for."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.waiting import expect, hold


def steps(rig: Rig) -> None:
    """Kill it under load; for a while nobody listens there."""
    rig.submit(rig.count(24, 300))
    rig.until_done(4)
    rig.upstream.kill()
    hold(2)
    rig.upstream.start()


def rule(rig: Rig, found: Audit) -> None:
    """Refused connections are no lost answers."""
    expect(found.uncertain <= 24, "only calls under way are uncertain")
    expect(found.lost == 0, "no job is lost")


EXPERIMENTS = [
    Experiment(
        name="api-away",
        promise="A call that could not be sent is no lost answer, and results are fetched later.",
        steps=steps,
        rule=rule,
    )
]
