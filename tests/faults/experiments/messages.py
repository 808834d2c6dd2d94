"""Celery messages that come twice, in another order, or for jobs that are done."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.waiting import expect, hold
from workers.app import EXECUTE, make_app


def steps(rig: Rig) -> None:
    """Send ids by hand, shuffled and doubled, while the dispatcher sends them too."""
    ids = rig.submit(rig.count(24, 300))
    app = make_app(rig.settings)
    try:
        for _ in range(20):
            some = rig.chance.choices(ids, k=6)
            app.send_task(EXECUTE, args=[[*some, *reversed(some)]])
            hold(0.2)
    finally:
        app.close()


def rule(rig: Rig, found: Audit) -> None:
    """A message is a hint, and never the truth."""
    expect(found.succeeded == found.charges == found.jobs, "each job was charged once")
    expect(rig.upstream.ledger().creates == found.jobs, "each job was sent once")


EXPERIMENTS = [
    Experiment(
        name="messages-doubled-and-shuffled",
        promise="Messages that come twice or out of order start nothing twice.",
        steps=steps,
        rule=rule,
    )
]
