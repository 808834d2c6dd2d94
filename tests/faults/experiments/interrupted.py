"""`darkroom run`, Ctrl-C, and the same command again."""

import csv
import signal
from pathlib import Path

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.process import Process, python
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect


def write_manifest(path: Path, count: int) -> None:
    """A manifest of so many prompts."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt"])
        rows.writerows([f"a lamp, number {number}"] for number in range(count))


def steps(rig: Rig) -> None:
    """Interrupt it half-way, and start it again."""
    count = rig.count(24, 300)
    manifest, out = rig.folder / "manifest.csv", rig.folder / "out"
    write_manifest(manifest, count)
    arguments = ["run", str(manifest), "--out", str(out), "--operation", "generate/core", "--yes"]
    run = Process(
        "run", python("-m", "jobs", *arguments), folder=rig.folder, environment=rig.environment
    )
    try:
        run.start()
        rig.until_done(count // 4)
        run.send(signal.SIGINT)
        rig.until(lambda: not run.is_running, "the interrupted run has ended")
        expect(rig.done() < count, "it was interrupted half-way")
        run.start()
        rig.until(lambda: not run.is_running, "the second run has ended", 120)
    finally:
        run.kill()
    rig.submitted = [job.id for job in rig.jobs()]
    expect(run.returncode == 0, "the second run ended with 0")
    expect(len(rig.submitted) == count, "there is one job for each row")
    expect(len(list(out.rglob("*.png"))) == count, "every output is in the folder")


def rule(rig: Rig, found: Audit) -> None:
    """The resume paid for nothing twice."""
    expect(found.succeeded == found.charges == found.jobs, "each job was charged once")


EXPERIMENTS = [
    Experiment(
        name="run-interrupted",
        promise="Ctrl-C leaves a run resumable; the same command goes on and pays nothing twice.",
        steps=steps,
        rule=rule,
        setup=Setup(
            workers=0,
            beats=0,
            database="sqlite",
            storage="folder",
            settings={"DARKROOM_RATE": "16/2s"},
        ),
    )
]
