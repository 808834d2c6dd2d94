"""Nothing is hurt: what the others are compared with."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.waiting import expect


def steps(rig: Rig) -> None:
    """Let everything run its course."""
    rig.submit(rig.count(24, 400))


def rule(rig: Rig, found: Audit) -> None:
    """One create for each job, and each succeeds."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.charges == found.jobs, "each job was charged once")
    expect(rig.upstream.ledger().creates == found.jobs, "each job was sent once")
    expect(found.uncertain == 0, "no answer was lost")


EXPERIMENTS = [
    Experiment(
        name="calm",
        promise="Without a fault there is exactly one call for each job.",
        steps=steps,
        rule=rule,
    )
]
