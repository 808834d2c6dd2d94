"""Results that nobody fetched in time."""

from datetime import timedelta

from sqlalchemy import update

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import JOB, Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect, hold

JOBS = 4
AGE = timedelta(hours=25)


def steps(rig: Rig) -> None:
    """Keep the workers away until the API has forgotten; the day is played by moving the dates."""
    rig.submit(JOBS, "async")
    rig.until(lambda: all(job.accepted_at for job in rig.jobs()), "all are accepted")
    (worker,) = rig.crew.workers
    worker.is_wanted = False
    worker.kill()
    with rig.database.transaction() as db:
        for job in rig.jobs():
            db.execute(
                update(JOB).where(JOB.c.id == job.id).values(accepted_at=job.accepted_at - AGE)
            )
    hold(5)
    worker.start()


def rule(rig: Rig, found: Audit) -> None:
    """Each was paid for again, once, and says so."""
    expired = sum(attempt.expired_at is not None for attempt in rig.attempts())
    expect(expired == JOBS, "each first result has expired")
    expect(found.succeeded == JOBS, "every job succeeded")
    expect(found.charges == 2 * JOBS, "each was charged once more")


EXPERIMENTS = [
    Experiment(
        name="results-expired",
        promise="A result that is gone after a day is told, and handled as a lost answer is.",
        steps=steps,
        rule=rule,
        setup=Setup(workers=1, sandbox=("--result-hours", "0.0008")),
    )
]
