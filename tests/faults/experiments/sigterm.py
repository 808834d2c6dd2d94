"""Workers are told to stop, as every deployment does."""

import signal

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.process import Process
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect, hold


def replace_all(rig: Rig) -> None:
    """Stop each worker under load once another is there, as a rolling deployment does."""
    rig.submit(rig.count(30, 400))
    rig.until_done(2)
    for worker in list(rig.crew.workers):
        replace(rig, worker)


def replace(rig: Rig, worker: Process) -> None:
    """Stop one and see it leave in order; another takes its place."""
    worker.is_wanted = False
    worker.send(signal.SIGTERM)
    rig.until(lambda: not worker.is_running, f"{worker.name} has ended", 40)
    expect(worker.returncode == 0, f"{worker.name} ended with 0, not {worker.returncode}")
    rig.crew.hire("worker")


def undisturbed(rig: Rig, found: Audit) -> None:
    """Nothing was cut off."""
    expect(found.uncertain == 0, "nothing is uncertain")
    expect(found.succeeded == found.charges == found.jobs, "each job was charged once")


def twice(rig: Rig) -> None:
    """Ask a second time while a call is under way."""
    rig.submit(1, "sync")
    rig.until_charged(1)
    (worker,) = rig.crew.workers
    worker.is_wanted = False
    worker.send(signal.SIGTERM)
    hold(1)
    expect(worker.is_running, "the worker waits for the answer")
    worker.send(signal.SIGTERM)
    rig.until(lambda: not worker.is_running, "the worker has left", 5)
    expect(worker.returncode == 128 + signal.SIGTERM, "it tells that it left something")
    worker.start()


def left(rig: Rig, found: Audit) -> None:
    """What was left is uncertain, and was done again."""
    expect(found.succeeded == 1, "the job succeeded")
    expect(found.uncertain == 1, "the call that was left is uncertain")


EXPERIMENTS = [
    Experiment(
        name="workers-replaced",
        promise="A worker that is told to stop finishes what it began, and leaves with 0.",
        steps=replace_all,
        rule=undisturbed,
    ),
    Experiment(
        name="worker-stopped-twice",
        promise="A second SIGTERM ends a worker at once, and nothing is lost by it.",
        steps=twice,
        rule=left,
        setup=Setup(workers=1, latency="6"),
    ),
]
