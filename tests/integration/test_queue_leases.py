"""Claim, take, keep, give back, unclaim, rescue: who has a job, and who has it no more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.db import Database
from jobs.history import events_of
from jobs.models import DISPATCHED
from jobs.outcomes import Snoozed
from jobs.queue import leases
from jobs.queue.attempts import begin
from jobs.queue.settling import settle
from jobs.states import FINAL, JobState
from tests.factories import (
    CREDENTIAL,
    LEASE,
    NOW,
    OWNER,
    make_batch,
    make_job,
    read_claim,
    read_job,
    take_due,
)

LATER = NOW + 2 * LEASE
POLL_GAP = timedelta(seconds=7)


def test_a_due_job_is_claimed_once(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db)

        first = leases.claim_due(db, NOW, limit=10, lease=LEASE)
        second = leases.claim_due(db, NOW, limit=10, lease=LEASE)

        assert (first, second) == ([job_id], [])
        job = read_job(db, job_id)
        assert (job.lease_owner, job.lease_until, job.due_at) == (DISPATCHED, NOW + LEASE, None)


def test_a_job_is_not_claimed_before_it_is_due(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, due_at=NOW + timedelta(seconds=1))

        assert leases.claim_due(db, NOW, limit=10, lease=LEASE) == []
        assert len(leases.claim_due(db, NOW + timedelta(seconds=1), limit=10, lease=LEASE)) == 1


def test_without_a_worker_all_that_was_sent_is_due_again(database: Database) -> None:
    with database.transaction() as db:
        sent, taken = make_job(db), make_job(db, JobState.SUBMITTING)
        (claimed,) = leases.claim_due(db, NOW, limit=10, lease=LEASE)

        assert leases.unclaim_all(db, LATER) == 1

        assert claimed == sent
        job = read_job(db, sent)
        assert (job.lease_owner, job.due_at, job.state) == (None, LATER, "queued")
        assert read_job(db, taken).lease_owner == OWNER


def test_the_next_result_is_known_that_is_not_due_yet(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, due_at=NOW + timedelta(seconds=1))
        nothing = leases.next_to_go_on(db, NOW)
        for seconds in (-1, 0, 7, 3):
            make_job(db, JobState.POLLING, due_at=NOW + timedelta(seconds=seconds))

        assert nothing is None
        assert leases.next_to_go_on(db, NOW) == NOW + timedelta(seconds=3)


def test_paid_work_comes_before_new_work_and_then_priority_and_age(database: Database) -> None:
    with database.transaction() as db:
        plain = make_job(db)
        older = make_job(db, due_at=NOW - timedelta(seconds=5))
        urgent = make_job(db, priority=5)
        paid = make_job(db, JobState.POLLING)

        claimed = [leases.claim_due(db, NOW, limit=1, lease=LEASE) for _ in range(4)]

        assert claimed == [[paid], [urgent], [older], [plain]]


def test_a_paused_batch_starts_nothing_and_finishes_what_is_paid(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, paused_at=NOW)
        make_job(db, batch_id=batch_id, row=0)
        paid = make_job(db, JobState.POLLING, batch_id=batch_id, row=1)

        assert leases.claim_due(db, NOW, limit=10, lease=LEASE) == [paid]


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_finished_job_is_never_claimed(database: Database, state: JobState) -> None:
    with database.transaction() as db:
        make_job(db, state)

        assert leases.claim_due(db, NOW + timedelta(days=99), limit=10, lease=LEASE) == []


def test_a_second_message_finds_nothing_to_take(database: Database) -> None:
    with database.transaction() as db:
        make_job(db)
        ids = leases.claim_due(db, NOW, limit=10, lease=LEASE)

        first = leases.take(db, ids, NOW, owner="first", lease=LEASE)
        second = leases.take(db, ids, NOW, owner="second", lease=LEASE)

        assert [claim.id for claim in first] == ids
        assert second == []
        assert read_job(db, ids[0]).lease_owner == "first"


def test_each_taking_raises_the_fence(database: Database) -> None:
    with database.transaction() as db:
        make_job(db)
        (first,) = take_due(db)
        leases.give_back(db, first, NOW)
        (second,) = take_due(db)

        assert second.fence > first.fence


def test_keeping_renews_what_a_process_holds_and_knows_of(database: Database) -> None:
    with database.transaction() as db:
        mine = make_job(db, JobState.SUBMITTING)
        unknown = make_job(db, JobState.SUBMITTING)
        other = make_job(db, JobState.SUBMITTING, lease_owner="other")
        free = make_job(db)

        assert leases.keep(db, [mine, other, free], LATER, owner=OWNER, lease=LEASE) == 1
        assert leases.keep(db, [], LATER, owner=OWNER, lease=LEASE) == 0

        assert read_job(db, mine).lease_until == LATER + LEASE
        assert {read_job(db, i).lease_until for i in (unknown, other)} == {NOW + LEASE}


def test_a_job_given_back_keeps_its_state_and_is_due_again(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, JobState.POLLING)
        (claim,) = take_due(db)

        assert settle(db, claim, Snoozed(timedelta(seconds=9)), NOW)

        job = read_job(db, claim.id)
        assert (job.state, job.lease_owner) == (JobState.POLLING, None)
        assert job.due_at == NOW + timedelta(seconds=9)


def test_a_late_owner_gives_nothing_back(database: Database) -> None:
    with database.transaction() as db:
        make_job(db)
        (lost,) = take_due(db)
        leases.rescue(db, LATER)
        (heir,) = take_due(db, LATER, owner="heir")

        assert not leases.give_back(db, lost, LATER)

        assert read_job(db, heir.id).lease_owner == "heir"


def test_only_what_nobody_took_is_unclaimed(database: Database) -> None:
    with database.transaction() as db:
        ids = [make_job(db), make_job(db)]
        leases.claim_due(db, NOW, limit=10, lease=LEASE)
        leases.take(db, ids[:1], NOW, owner=OWNER, lease=LEASE)

        assert leases.unclaim(db, ids, NOW) == 1

        assert read_job(db, ids[0]).lease_owner == OWNER
        assert read_job(db, ids[1]).due_at == NOW


def test_a_lost_message_is_made_up_for(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db)
        leases.claim_due(db, NOW, limit=10, lease=LEASE)

        assert leases.rescue(db, NOW) == 0
        assert leases.rescue(db, LATER) == 1

        assert leases.claim_due(db, LATER, limit=10, lease=LEASE) == [job_id]
        assert [event.verb for event in events_of(db, job_id)] == ["submitted"]


@pytest.mark.parametrize(
    ("state", "crashes", "wait"),
    [
        (JobState.QUEUED, 0, timedelta(0)),
        (JobState.SUBMITTING, 0, timedelta(0)),
        (JobState.POLLING, 1, POLL_GAP),
        (JobState.STORING, 1, leases.AFTER_DEATH),
    ],
)
def test_a_rescued_job_keeps_its_state_and_counts_what_may_have_killed_its_worker(
    database: Database, state: JobState, crashes: int, wait: timedelta
) -> None:
    with database.transaction() as db:
        job_id = make_job(db, state, lease_owner=OWNER)

        assert leases.rescue(db, LATER, poll_gap=POLL_GAP) == 1

        job = read_job(db, job_id)
        assert (job.state, job.lease_owner, job.due_at) == (state, None, LATER + wait)
        assert job.crashes == crashes
        assert events_of(db, job_id)[-1].verb == "rescued"
        assert events_of(db, job_id)[-1].note == OWNER


def test_a_dead_owner_is_rescued_from_before_its_lease_ends(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, JobState.SUBMITTING)
        alive = make_job(db, JobState.SUBMITTING, lease_owner="alive")

        assert leases.rescue(db, NOW, dead=[OWNER]) == 1

        assert read_job(db, job_id).lease_owner is None
        assert read_job(db, alive).lease_owner == "alive"


def test_whoever_was_rescued_from_begins_nothing(database: Database) -> None:
    with database.transaction() as db:
        make_job(db)
        (lost,) = take_due(db)
        leases.rescue(db, LATER)

        assert begin(db, lost, LATER, credential_id=CREDENTIAL, owner=OWNER) is None

        assert read_job(db, lost.id).attempts == 0


def test_the_load_is_counted_by_what_waits_for_a_permit(database: Database) -> None:
    with database.transaction() as db:
        make_job(db, lease_owner=DISPATCHED)
        make_job(db, lease_owner=OWNER)
        make_job(db, JobState.POLLING, lease_owner=DISPATCHED)
        make_job(db, JobState.SUBMITTING)
        make_job(db)

        assert leases.load(db) == leases.Load(waiting=3, leased=4)
        assert sorted(leases.owners(db)) == [OWNER]


def test_a_claim_that_was_changed_by_hand_is_not_believed(database: Database) -> None:
    with database.transaction() as db:
        job_id = make_job(db, lease_owner=OWNER)
        forged = replace(read_claim(db, job_id), fence=99)

        assert not leases.give_back(db, forged, NOW)
