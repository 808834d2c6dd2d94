"""A worker and a beat whose clock is ten minutes ahead of all others."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.process import ROOT
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect

SKEWED = {"PYTHONPATH": f"{ROOT / 'tests/faults/skewed'}:{ROOT}"}


def steps(rig: Rig) -> None:
    """Let the skewed beat judge leases, beside a worker with the right time and one without."""
    rig.crew.hire("beat", **SKEWED)
    rig.submit(rig.count(24, 200))


def nobody_lost_a_job(rig: Rig, found: Audit) -> None:
    """No lease was stolen, no result given up."""
    expect(found.succeeded == found.charges == found.jobs, "each job was charged once")
    expect(found.uncertain == 0, "nothing is uncertain")
    expect(b"jobs_rescued" not in rig.logs(), "no lease was taken over")


EXPERIMENTS = [
    Experiment(
        name="clock-skewed",
        promise="Leases and due times go by the database's clock, whatever a machine's own says.",
        steps=steps,
        rule=nobody_lost_a_job,
        setup=Setup(beats=0, each_worker=(SKEWED, {}), latency="1"),
    )
]
