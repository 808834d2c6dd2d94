"""Lost answers in a row stop paying, until a probe is answered; a crash of ours does not."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from jobs.db import Database
from jobs.models import Attempt, table
from jobs.queue import breaker
from jobs.queue.breaker import FIRST_PROBE, LONGEST_PROBE, OPENS_AT
from jobs.queue.moves import JOB
from jobs.states import JobState
from tests.factories import NOW, make_job

ATTEMPT = table(Attempt)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def db(database_url: str) -> Iterator[Connection]:
    database = Database(database_url)
    with database.transaction() as connection:
        yield connection
    database.close()


def attempt(db: Connection, begun_at: datetime, **facts: object) -> None:
    """A paid call with what became of it."""
    job_id = make_job(db, JobState.SUBMITTING)
    values = {"begun_at": begun_at, "uncertain_at": None} | facts
    db.execute(update(ATTEMPT).where(ATTEMPT.c.job_id == job_id).values(values))
    db.execute(update(JOB).where(JOB.c.id == job_id).values(state=JobState.QUEUED))


def lose(db: Connection, times: int, at: datetime, *, note: str = "answer_lost") -> None:
    """Calls that were begun a second before their answers were lost."""
    for _ in range(times):
        attempt(db, at - SECOND, uncertain_at=at, note=note)


def may_begin(db: Connection, now: datetime) -> bool:
    """Whether a worker would commit to another paid call."""
    return breaker.most_to_begin(db, now) != 0


def test_a_few_lost_answers_leave_it_closed(db: Connection) -> None:
    lose(db, OPENS_AT - 1, NOW)

    assert breaker.next_probe(db, NOW) is None
    assert may_begin(db, NOW)


def test_many_in_a_row_open_it_until_the_first_probe(db: Connection) -> None:
    lose(db, OPENS_AT, NOW)

    assert breaker.next_probe(db, NOW) == NOW + FIRST_PROBE
    assert not may_begin(db, NOW + SECOND)
    assert may_begin(db, NOW + FIRST_PROBE)


def test_what_was_in_flight_when_it_opened_is_no_probe(db: Connection) -> None:
    # When the API dies with sixty calls in flight,
    lose(db, 60, NOW)

    # Then the first probe does not wait longer for that.
    assert breaker.next_probe(db, NOW) == NOW + FIRST_PROBE


@pytest.mark.parametrize("note", ["worker_lost", "unusable_answer"])
def test_what_tells_nothing_about_the_api_does_not_open_it(db: Connection, note: str) -> None:
    lose(db, 60, NOW, note=note)

    assert breaker.next_probe(db, NOW) is None


def test_each_lost_probe_doubles_the_wait_up_to_the_longest(db: Connection) -> None:
    lose(db, OPENS_AT, NOW)
    waits = []
    for _ in range(8):
        probe_at = breaker.next_probe(db, NOW)
        assert probe_at is not None
        attempt(db, probe_at, uncertain_at=probe_at + SECOND, note="answer_lost")
        following = breaker.next_probe(db, NOW)
        assert following is not None
        waits.append(following - probe_at - SECOND)

    assert waits[:3] == [FIRST_PROBE * 2, FIRST_PROBE * 4, FIRST_PROBE * 8]
    assert waits[-1] == LONGEST_PROBE


def test_only_one_probe_is_sent_at_a_time(db: Connection) -> None:
    lose(db, OPENS_AT, NOW)
    probe_at = NOW + FIRST_PROBE

    attempt(db, probe_at)

    assert not may_begin(db, probe_at + SECOND)


@pytest.mark.parametrize("fact", ["accepted_at", "received_at"])
def test_an_answer_closes_it(db: Connection, fact: str) -> None:
    lose(db, OPENS_AT, NOW)

    attempt(db, NOW + FIRST_PROBE, **{fact: NOW + FIRST_PROBE + SECOND})

    assert breaker.next_probe(db, NOW + 2 * FIRST_PROBE) is None


def test_the_bytes_of_an_older_call_do_not_close_it(db: Connection) -> None:
    attempt(db, NOW - MINUTE, accepted_at=NOW - MINUTE, received_at=NOW + SECOND)

    lose(db, OPENS_AT, NOW)

    assert not may_begin(db, NOW + SECOND)


def test_a_refused_probe_makes_way_for_the_next(db: Connection) -> None:
    lose(db, OPENS_AT, NOW)
    probe_at = NOW + FIRST_PROBE

    attempt(db, probe_at, refused_at=probe_at + SECOND)

    assert may_begin(db, probe_at + 2 * SECOND)
