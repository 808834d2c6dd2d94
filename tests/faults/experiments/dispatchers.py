"""More than one dispatcher."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect


def steps(rig: Rig) -> None:
    """Let both want the same rows, and kill one of them half-way."""
    count = rig.count(24, 400)
    rig.submit(count)
    rig.until_done(count // 3)
    rig.crew.beats[0].kill()


def rule(rig: Rig, found: Audit) -> None:
    """No job was sent twice."""
    expect(found.charges == found.succeeded == found.jobs, "each job was charged once")
    expect(rig.upstream.ledger().creates == found.jobs, "each job was sent once")


EXPERIMENTS = [
    Experiment(
        name="two-dispatchers",
        promise="Several dispatchers never send a job twice, and one may die.",
        steps=steps,
        rule=rule,
        setup=Setup(beats=2),
    )
]
