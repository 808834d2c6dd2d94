"""A key that is refused, and one that has no credits left."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import KEYS, Setup
from tests.faults.waiting import expect


def refused(rig: Rig) -> None:
    """Work with two keys, of which the API knows one."""
    rig.submit(rig.count(24, 200))


def by_the_other(rig: Rig, found: Audit) -> None:
    """The good key does all the work."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.charges == found.jobs, "each job was charged once")
    expect(found.uncertain == 0, "no answer was lost")


def broke(rig: Rig) -> None:
    """Let the credits run out, wait until all is held, and pay."""
    rig.submit(16)
    rig.until(lambda: rig.states().get("held", 0) >= 3, "jobs are held for funds")
    rig.upstream.add_credits(500)


def resumed(rig: Rig, found: Audit) -> None:
    """Nobody had to touch them."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.held == 0, "no job is held")
    expect(found.charges == found.jobs, "each job was charged once")


EXPERIMENTS = [
    Experiment(
        name="key-refused",
        promise="A key that is refused (401) holds no job back: the others go on.",
        steps=refused,
        rule=by_the_other,
        setup=Setup(settings={"STABILITY_API_KEY": ",".join(KEYS)}),
    ),
    Experiment(
        name="credits-run-out",
        promise="Jobs are held when the credits are gone (402), and go on when they are back.",
        steps=broke,
        rule=resumed,
        setup=Setup(sandbox=("--credits", "30"), settings={"DARKROOM_BALANCE_SECONDS": "2"}),
    ),
]
