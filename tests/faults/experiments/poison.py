"""A picture that kills whoever decodes it."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.orders import cutout
from tests.faults.process import ROOT
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect

#: The side of the picture that `poisoned/sitecustomize.py` lets nobody survive.
DEADLY_SIDE = 96
POISONED = {"PYTHONPATH": f"{ROOT / 'tests/faults/poisoned'}:{ROOT}"}


def steps(rig: Rig) -> None:
    """One such job among others."""
    rig.submit(4)
    rig.let_in([cutout(1000, DEADLY_SIDE)])
    rig.submit(rig.count(8, 100))
    rig.until_settled()
    # Whoever starts now finds the deadly answer in the spool.
    newcomer = rig.crew.hire("worker", **POISONED)
    rig.until(lambda: b"worker_ready" in newcomer.log.read_bytes(), "another worker starts")


def rule(rig: Rig, found: Audit) -> None:
    """It took three workers with it, and no more."""
    codes = [job.error["code"] for job in rig.jobs() if job.state == "failed"]
    expect(codes == ["poison"], f"the job, and no other, is put aside as poison: {codes}")
    expect(rig.crew.deaths == 3, f"three workers died, not {rig.crew.deaths}")
    expect(found.succeeded == found.jobs - 1, "the others succeeded")


EXPERIMENTS = [
    Experiment(
        name="poison",
        promise="A job that kills three workers is put aside, and the others finish.",
        steps=steps,
        rule=rule,
        setup=Setup(each_worker=(POISONED, POISONED)),
        # The deadly answer stays on disk: it was paid for.
        allows=frozenset({"spooled"}),
    )
]
