"""Many jobs take the same step in one transaction, and each gets the answer that it would alone."""

import pytest
from sqlalchemy import Connection

from jobs.db import Database
from jobs.history import attempts_of, events_of
from jobs.models import new_id
from jobs.outcomes import Accepted, Outcome, Received, Stored
from jobs.queue import leases
from jobs.queue.attempts import Intent, begin_all
from jobs.queue.moves import Claim
from jobs.queue.settling import settle_all
from jobs.queue.together import Contested
from jobs.states import JobState
from tests.factories import (
    CREDENTIAL,
    LEASE,
    NOW,
    OWNER,
    PRICE,
    make_job,
    read_claim,
    read_job,
    stored_output,
    take_due,
)
from workers.commits import Committer, Waiting

S = JobState
LATER = NOW + 2 * LEASE


def commit(database: Database, settled: list[tuple[Claim, Outcome]]) -> list[bool]:
    """What a worker's committer answers to those who wait at the same moment."""
    committer = Committer(database)
    together = [Waiting(settle_all, item) for item in settled]
    with database.connected() as connection:
        committer._commit(connection, together)
    committer.close()
    return [one.future.result() for one in together]


def verbs(db: Connection, job_id: str) -> list[str]:
    return [event.verb for event in events_of(db, job_id)]


def test_each_job_of_many_is_begun_once_with_its_own_attempt(database: Database) -> None:
    with database.transaction() as db:
        for _ in range(5):
            make_job(db, S.QUEUED, due_at=NOW)
        claims = take_due(db)
        assert len(claims) == 5

        begun = begin_all(
            db, [Intent(claim=c, credential_id=CREDENTIAL, owner=OWNER) for c in claims], NOW
        )

        assert [b.id if b else None for b in begun] == [c.id for c in claims]
        assert len({b.attempt_id for b in begun if b}) == 5
        jobs = [read_job(db, claim.id) for claim in claims]
        assert {(job.state, job.attempts, job.lease_owner) for job in jobs} == {
            (S.SUBMITTING, 1, OWNER)
        }
        assert all(verbs(db, claim.id).count("submitting") == 1 for claim in claims)


def test_a_group_with_a_stranger_in_it_is_undone_as_a_whole(database: Database) -> None:
    with database.transaction() as db:
        ours, lost = (read_claim(db, make_job(db, S.SUBMITTING)) for _ in range(2))
        leases.rescue(db, LATER)
        with pytest.raises(Contested):
            settle_all(db, [(ours, Received()), (lost, Received())], LATER)


def test_of_a_contested_group_each_gets_its_own_answer(database: Database) -> None:
    # Given two jobs, of which one was taken over meanwhile,
    with database.transaction() as db:
        lost = read_claim(db, make_job(db, S.SUBMITTING))
        leases.rescue(db, LATER)
        ours = read_claim(db, make_job(db, S.SUBMITTING))

    # when both answers are committed together,
    kept = commit(database, [(lost, Received()), (ours, Received())])

    # then ours is received, and the other one's charge is on record; each once.
    assert kept == [False, True]
    with database.reading() as db:
        assert read_job(db, ours.id).state == S.STORING
        assert verbs(db, ours.id).count("received") == 1
        assert read_job(db, lost.id).state == S.SUBMITTING
        assert verbs(db, lost.id).count("charged_late") == 1
        assert [read_job(db, i).charged_milli for i in (ours.id, lost.id)] == [PRICE, PRICE]


def test_what_is_stored_before_anybody_knew_that_it_came_is_told_in_both_steps(
    database: Database,
) -> None:
    # Given two jobs whose bytes came, of which only one has told of it,
    with database.transaction() as db:
        told, fresh = (read_claim(db, make_job(db, S.SUBMITTING)) for _ in range(2))
        settle_all(db, [(told, Received())], NOW)
        told = read_claim(db, told.id)

    kept = commit(
        database, [(told, Stored((stored_output(),))), (fresh, Stored((stored_output(),)))]
    )

    # then their histories are the same, and each has paid once.
    assert kept == [True, True]
    with database.reading() as db:
        for claim in (told, fresh):
            assert read_job(db, claim.id).state == S.SUCCEEDED
            assert read_job(db, claim.id).charged_milli == PRICE
            steps = [(e.verb, e.origin, e.target, e.charged_milli) for e in events_of(db, claim.id)]
            assert steps[-2:] == [
                ("received", S.SUBMITTING, S.STORING, PRICE),
                ("succeeded", S.STORING, S.SUCCEEDED, 0),
            ]
            assert attempts_of(db, claim.id)[0].received_at is not None


def test_of_what_is_stored_by_a_worker_that_was_fenced_off_the_charge_is_kept(
    database: Database,
) -> None:
    with database.transaction() as db:
        lost = read_claim(db, make_job(db, S.SUBMITTING))
        leases.rescue(db, LATER)

    kept = commit(database, [(lost, Stored((stored_output(),)))])

    assert kept == [False]
    with database.reading() as db:
        assert read_job(db, lost.id).state == S.SUBMITTING
        assert read_job(db, lost.id).charged_milli == PRICE
        assert verbs(db, lost.id).count("charged_late") == 1


def test_an_answer_that_comes_twice_in_one_group_is_paid_once(database: Database) -> None:
    with database.transaction() as db:
        claim = read_claim(db, make_job(db, S.SUBMITTING))
    answer = Accepted(new_id(), LEASE)

    kept = commit(database, [(claim, answer), (claim, answer)])

    assert sorted(kept) == [False, True]
    with database.reading() as db:
        assert read_job(db, claim.id).charged_milli == PRICE
        assert verbs(db, claim.id).count("accepted") == 1


@pytest.mark.parametrize("outcome", [Received(), Stored((stored_output(),))])
def test_fetched_results_are_written_down_together(database: Database, outcome: Outcome) -> None:
    # Given results that were paid when their ids came, and one that is paid with its bytes,
    with database.transaction() as db:
        polled = [read_claim(db, make_job(db, S.POLLING)) for _ in range(3)]
        direct = read_claim(db, make_job(db, S.SUBMITTING))

        # when all of them come in one transaction, then nothing of it is undone,
        claims = [*polled, direct]
        assert settle_all(db, [(claim, outcome) for claim in claims], LATER) == [True] * 4

        # and each has paid once.
        assert [read_job(db, claim.id).charged_milli for claim in claims] == [PRICE] * 4
        assert [attempts_of(db, claim.id)[0].received_at for claim in claims] == [LATER] * 4
