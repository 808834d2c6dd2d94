"""A worker that is stopped in the middle of a paid call, past its lease, and comes back late."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.orders import Kind
from tests.faults.process import Process
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect


def freeze_owner(rig: Rig, kind: Kind, on_uncertain: str) -> Process:
    """Stop the worker whose call was charged and is not answered yet."""
    (job_id,) = rig.submit(1, kind, on_uncertain=on_uncertain)  # type: ignore[arg-type]
    rig.until_charged(1)
    owner = rig.crew.owner_of(rig.job(job_id).lease_owner)
    expect(owner is not None, "a worker waits for the answer")
    assert owner is not None
    owner.freeze()
    rig.until(lambda: rig.uncertain() == 1, "the attempt is uncertain", 30)
    return owner


def hold_sync(rig: Rig) -> None:
    """The bytes come back when the job is held."""
    freeze_owner(rig, "sync", "hold").thaw()
    rig.until_done(1)


def hold_async(rig: Rig) -> None:
    """The id comes back when the job is held; its answer trickled while the worker stood still."""
    rig.upstream.fault(slow=1.0)
    freeze_owner(rig, "async", "hold").thaw()
    rig.until_done(1)


def retry_async(rig: Rig) -> None:
    """The id comes back when the job was paid for again, and may even be done."""
    rig.upstream.fault(slow="1x1")
    owner = freeze_owner(rig, "async", "retry")
    rig.until_charged(2)
    owner.thaw()
    rig.until_done(1)


def adopted(rig: Rig, found: Audit) -> None:
    """What came late is used, and the job costs what it should."""
    expect(found.succeeded == 1, "the job succeeded")
    expect(found.charges == 1, "it was charged once")
    expect(found.uncertain == 1, "the attempt stays marked as uncertain")


def paid_twice(rig: Rig, found: Audit) -> None:
    """Both charges are known, and one of them is explained."""
    expect(found.succeeded == 1, "the job succeeded")
    expect((found.charges, found.uncertain) == (2, 1), "the second charge is explained")
    expect(rig.jobs()[0].charged_milli == 16_000, "the job's cost tells of both charges")


EXPERIMENTS = [
    Experiment(
        name="frozen-worker-sync",
        promise="Bytes that a worker brings after it lost its lease are adopted.",
        steps=hold_sync,
        rule=adopted,
        setup=Setup(latency="3"),
    ),
    Experiment(
        name="frozen-worker-async",
        promise="A result id that a worker brings after it lost its lease is adopted.",
        steps=hold_async,
        rule=adopted,
    ),
    Experiment(
        name="frozen-worker-retried",
        promise="A late id of a job that was paid again is recorded, and its charge is told.",
        steps=retry_async,
        rule=paid_twice,
    ),
]
