"""Postgres: restarted, cut off, read-only, gone just when the answer comes."""

import signal

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.rig import Rig
from tests.faults.setup import LEASE_SECONDS, Setup
from tests.faults.waiting import expect, hold


def begin(rig: Rig) -> None:
    """Get work under way."""
    rig.submit(rig.count(24, 300))
    rig.until_done(2)


def restart(rig: Rig) -> None:
    """An immediate stop, as if it were killed, then recovery from its log."""
    begin(rig)
    server = rig.postgres.cluster.server
    for _ in range(2):
        server.send(signal.SIGQUIT)
        rig.until(lambda: not server.is_running, "Postgres has ended")
        hold(1)
        rig.postgres.cluster.start()
        hold(1)


def cut(rig: Rig) -> None:
    """End every session every half second."""
    begin(rig)
    for _ in range(8):
        rig.postgres.cut_connections()
        hold(0.5)


def read_only(rig: Rig) -> None:
    """Nothing can be committed for a while, as in a failover."""
    begin(rig)
    rig.postgres.make_read_only()
    hold(4)
    rig.postgres.make_writable()


def away_at_the_answer(rig: Rig) -> None:
    """Gone when every call is charged, until long after the answers came and the leases ended."""
    count = 8
    rig.submit(count)
    rig.until_charged(count // 2)
    rig.until(lambda: len(rig.leased()) == 0 or rig.upstream.charged() == count, "all are sent")
    rig.postgres.take_away()
    hold(LEASE_SECONDS + 3)
    rig.postgres.bring_back()


def once(rig: Rig, found: Audit) -> None:
    """Whatever was answered is written down when the database is back."""
    expect(found.succeeded == found.jobs, "every job succeeded")
    expect(found.charges == found.jobs, "each job was charged once")
    expect(found.uncertain == 0, "no answer was lost")


EXPERIMENTS = [
    Experiment(
        name="postgres-restarted",
        promise="What is under way when Postgres dies is written down when it is back.",
        steps=restart,
        rule=once,
        setup=Setup(own_cluster=True),
    ),
    Experiment(
        name="postgres-sessions-ended",
        promise="Connections that break in the middle of a commit neither lose nor double work.",
        steps=cut,
        rule=once,
    ),
    Experiment(
        name="postgres-read-only",
        promise="A database that takes no changes for a while costs time, and nothing else.",
        steps=read_only,
        rule=once,
    ),
    Experiment(
        name="postgres-away-at-the-answer",
        promise="An answer that comes while the database is away is kept until it is back.",
        steps=away_at_the_answer,
        rule=once,
        setup=Setup(latency="2.5", sandbox=("--fault", "slow=1.0")),
    ),
]
