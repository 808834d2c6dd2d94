"""The spool's disk is full when the answers come."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment, NotHere
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect, hold

DISK_MEGABYTES = 160


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A real file system with an end, which only root can mount."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise NotHere(f"no file system can be mounted: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def steps(rig: Rig) -> None:
    """Fill the disk under calls that are charged; then make room again."""
    spool = rig.settings.home / "spool"
    with small_disk(spool):
        rig.crew.hire("worker")
        rig.submit(3, "sync")
        rig.until_charged(1)
        fill(spool / "ballast")
        rig.until(lambda: rig.uncertain() >= 1, "an answer could not be kept", 30)
        sent = rig.upstream.ledger().creates
        rig.submit(6, "sync")
        hold(3)
        expect(rig.upstream.ledger().creates == sent, "nothing is paid while the disk is full")
        (spool / "ballast").unlink()
        rig.until_settled()
        rig.let_late_ones_end()
        for worker in rig.crew.workers:
            worker.stop()


def rule(rig: Rig, found: Audit) -> None:
    """What could not be kept is on record; all else is paid once."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.second_charges <= found.uncertain <= 3, "only the answers on their way were lost")


EXPERIMENTS = [
    Experiment(
        name="disk-full",
        promise="Nothing is paid for while there is no room to keep the answer.",
        steps=steps,
        rule=rule,
        setup=Setup(workers=0, latency="2.5"),
    )
]
