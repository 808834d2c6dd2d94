"""`kill -9` of random workers, again and again."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect, hold

SECONDS_BETWEEN = 2.0


def steps(rig: Rig) -> None:
    """Kill one worker every 2 s until nearly all is done."""
    count = rig.count(80, 1000)
    rig.submit(count)
    rig.until_done(1)
    while rig.done() < count * 0.9:
        rig.crew.kill_one(rig.chance)
        hold(SECONDS_BETWEEN)


def rule(rig: Rig, found: Audit) -> None:
    """Some died, and no job shows it but by a second attempt."""
    expect(rig.crew.deaths >= 3, "workers were killed, and started again")
    expect(found.failed == 0, "no job failed")


EXPERIMENTS = [
    Experiment(
        name="kill-workers",
        promise="A worker that is killed loses no job, and pays for none twice that was answered.",
        steps=steps,
        rule=rule,
        setup=Setup(workers=3),
    )
]
