"""Everybody who works is stopped at once, past every lease, as in a machine that sleeps."""

from tests.faults.experiment import Experiment
from tests.faults.experiments.clock import nobody_lost_a_job
from tests.faults.rig import Rig
from tests.faults.setup import LEASE_SECONDS, Setup
from tests.faults.waiting import hold


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


EXPERIMENTS = [
    Experiment(
        name=f"all-stopped-{database}",
        promise="Workers that stood still with everything else keep the calls they had begun.",
        steps=steps,
        rule=nobody_lost_a_job,
        setup=Setup(database=database, latency="1"),
    )
    for database in ("postgres", "sqlite")
]
