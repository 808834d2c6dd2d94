"""A worker kills itself at each step of its work, for an answer of each kind."""

from dataclasses import dataclass

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.orders import Kind
from tests.faults.rig import Rig
from tests.faults.setup import Setup
from tests.faults.waiting import expect

JOBS = 3


@dataclass(frozen=True)
class Crash:
    """Where it dies, and what that may cost."""

    kind: Kind
    point: str
    uncertain: int = 0
    second_charges: int = 0

    def steps(self, rig: Rig) -> None:
        """The second job meets the crash; the worker is started again, and dies no more."""
        rig.crew.hire(
            "worker",
            DARKROOM_CRASH_AT=f"{self.point}:2",
            DARKROOM_CRASH_ONCE=str(rig.folder / "crashed"),
        )
        rig.submit(JOBS, self.kind)

    def rule(self, rig: Rig, found: Audit) -> None:
        """It crashed, and cost no more than it had to."""
        expect(rig.crew.deaths == 1, "the worker crashed once")
        expect(found.succeeded == JOBS, "every job succeeded")
        expect(found.uncertain == self.uncertain, f"{self.uncertain} attempts are uncertain")
        expect(
            found.second_charges == self.second_charges,
            f"{self.second_charges} calls were charged twice",
        )

    @property
    def promise(self) -> str:
        """What the experiment backs."""
        if self.second_charges:
            return "An answer that died with its worker is uncertain, and asked for once more."
        if self.uncertain:
            return "An intent without an answer is uncertain, though it was never sent."
        return "Nothing is paid again for a worker's death at this point."


CRASHES = (
    Crash("sync", "before_intent"),
    Crash("sync", "before_post", uncertain=1),
    Crash("sync", "after_post", uncertain=1, second_charges=1),
    Crash("sync", "mid_body", uncertain=1, second_charges=1),
    Crash("sync", "spooled"),
    Crash("sync", "uploaded"),
    Crash("sync", "before_final_commit"),
    Crash("async", "before_intent"),
    Crash("async", "before_post", uncertain=1),
    Crash("async", "after_post", uncertain=1, second_charges=1),
    Crash("async", "id_received", uncertain=1, second_charges=1),
    Crash("async", "mid_body"),
    Crash("async", "spooled"),
    Crash("async", "uploaded"),
    Crash("async", "before_final_commit"),
)

#: One job at a time, so that a crash hits one only; the worker is hired by the steps.
ALONE = Setup(workers=0, settings={"DARKROOM_WORKER_THREADS": "1"}, async_latency="0.5")

EXPERIMENTS = [
    Experiment(
        name=f"crash-{crash.kind}-{crash.point.replace('_', '-')}",
        promise=crash.promise,
        steps=crash.steps,
        rule=crash.rule,
        setup=ALONE,
    )
    for crash in CRASHES
]
