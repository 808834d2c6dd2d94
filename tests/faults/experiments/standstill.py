"""Everybody who works is stopped at once, past every lease, as in a machine that sleeps."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import LEASE_SECONDS, Setup
from tests.faults.waiting import expect, hold


def steps(rig: Rig) -> None:
    """Stop all in the middle of paid calls; the beat is the first to go on, and judges."""
    # At its start a beat judges nobody for a lease.
    hold(LEASE_SECONDS + 1)
    rig.submit(rig.count(24, 200))
    rig.until_charged(4)
    for member in [*rig.crew.workers, *rig.crew.beats]:
        member.freeze()
    hold(LEASE_SECONDS + 2)
    for beat in rig.crew.beats:
        beat.thaw()
    hold(2)


def rule(rig: Rig, found: Audit) -> None:
    """Nobody lost a job that he was at."""
    expect(found.succeeded == found.charges == found.jobs, "each job was charged once")
    expect(found.uncertain == 0, "nothing is uncertain")
    expect(b"jobs_rescued" not in rig.logs(), "no lease was taken over")


EXPERIMENTS = [
    Experiment(
        name=f"all-stopped-{database}",
        promise="Workers that stood still with everything else keep the calls they had begun.",
        steps=steps,
        rule=rule,
        setup=Setup(database=database, latency="1"),
    )
    for database in ("postgres", "sqlite")
]
