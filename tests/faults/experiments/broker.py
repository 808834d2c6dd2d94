"""Redis: emptied, killed, frozen, away."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.waiting import expect, hold


def begin(rig: Rig) -> int:
    """Get work under way."""
    count = rig.count(24, 300)
    rig.submit(count)
    rig.until_done(2)
    return count


def flush(rig: Rig) -> None:
    """Forget every message, permit and presence, three times."""
    begin(rig)
    for _ in range(3):
        rig.broker.flush()
        hold(1)


def restart(rig: Rig) -> None:
    """Kill it, twice, and bring it back empty."""
    begin(rig)
    for _ in range(2):
        rig.broker.kill()
        hold(1.5)
        rig.broker.start()
        hold(1.5)


def freeze(rig: Rig) -> None:
    """Stop it: it takes connections, and answers nobody."""
    begin(rig)
    rig.broker.freeze()
    hold(8)
    rig.broker.thaw()


def away(rig: Rig) -> None:
    """Submit while there is none: nothing is sent without a permit."""
    rig.broker.kill()
    rig.submit(rig.count(16, 200))
    hold(4)
    expect(rig.upstream.ledger().creates == 0, "nothing was sent without the limiter")
    rig.broker.start()


def once(rig: Rig, found: Audit) -> None:
    """Redis holds nothing that a job needs."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.charges == found.jobs, "each job was charged once")
    expect(found.uncertain == 0, "no answer was lost")


EXPERIMENTS = [
    Experiment(
        name="redis-flushed",
        promise="FLUSHALL loses no job and no charge: messages are sent again.",
        steps=flush,
        rule=once,
    ),
    Experiment(
        name="redis-restarted",
        promise="A Redis that was killed and came back empty costs time, and nothing else.",
        steps=restart,
        rule=once,
    ),
    Experiment(
        name="redis-frozen",
        promise="A Redis that answers nobody stops new calls; those under way are kept.",
        steps=freeze,
        rule=once,
    ),
    Experiment(
        name="redis-away",
        promise="Jobs are accepted without Redis, and nothing is sent before it is there.",
        steps=away,
        rule=once,
    ),
]
