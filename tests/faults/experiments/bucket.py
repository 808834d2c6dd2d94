"""The bucket: refusing, erring, dawdling, gone."""

from tests.faults.audit import Audit
from tests.faults.bucket import Mood
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.waiting import expect, hold


class Spell:
    """A bad time of the bucket's."""

    def __init__(self, mood: Mood, seconds: float) -> None:
        self._mood = mood
        self._seconds = seconds

    def __call__(self, rig: Rig) -> None:
        """Submit, and let the bucket be so for a while."""
        rig.bucket.mood = self._mood
        rig.submit(rig.count(16, 200))
        rig.until_charged(4)
        hold(self._seconds)
        if self._mood.is_gone or (self._mood.share == 1.0 and self._mood.status):
            expect(rig.done() == 0, "no job ends without its object")


def once(rig: Rig, found: Audit) -> None:
    """Answers wait in the spool; nothing is fetched, and nothing paid, again."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.charges == found.jobs, "each job was charged once")
    expect(found.uncertain == 0, "no answer was lost")


EXPERIMENTS = [
    Experiment(
        name="bucket-refuses",
        promise="Answers wait on disk while the bucket refuses them (403).",
        steps=Spell(Mood(status=403), 4),
        rule=once,
    ),
    Experiment(
        name="bucket-errs",
        promise="A bucket that fails three times in ten (500) loses and doubles nothing.",
        steps=Spell(Mood(status=500, share=0.3), 3),
        rule=once,
    ),
    Experiment(
        name="bucket-slow",
        promise="A slow bucket slows its own jobs only; leases hold.",
        steps=Spell(Mood(delay_seconds=1.5), 4),
        rule=once,
    ),
    Experiment(
        name="bucket-gone",
        promise="Answers wait on disk while the bucket is gone, and go there when it is back.",
        steps=Spell(Mood(is_gone=True), 4),
        rule=once,
    ),
]
