"""What `run` says at its end: money that nobody can be sure of, and the commands that help."""

from pathlib import Path

from sqlalchemy import Connection

from jobs import figures, history
from jobs.cli.ending import Ending
from jobs.cli.export import Shelf
from jobs.dataset import Summary
from jobs.db import Database
from jobs.figures import Losses
from jobs.models import DEFAULT_PROJECT
from jobs.outcomes import Accepted, TryAgain, Uncertain
from jobs.queue.settling import settle
from jobs.states import JobState as S
from tests.factories import (
    NOW,
    PRICE,
    begin_next,
    fault,
    make_batch,
    make_job,
    read_batch,
    read_claim,
    read_job,
)

NOTHING = Summary(
    jobs=0,
    by_state={},
    files=0,
    fetched=0,
    bytes=0,
    missing=0,
    left_out={},
    deferred=0,
    credits_milli=0,
    complete=True,
)


def told(db: Connection, batch_id: str) -> list[str]:
    """What is said of a batch whose run is over."""
    ending = Ending.of(db, read_batch(db, batch_id), NOTHING)
    return list(ending.lines(Shelf(Path("out")), is_interrupted=False))


def test_what_lost_answers_may_have_cost_is_said_beside_what_is_known(database: Database) -> None:
    # Given a job whose first answer was lost, and whose second one came
    with database.transaction() as db:
        batch_id = make_batch(db, name="two hares")
        lost = make_job(db, S.SUBMITTING, batch_id=batch_id, row=0)
        make_job(db, S.SUCCEEDED, batch_id=batch_id, row=1)
        settle(db, read_claim(db, lost), Uncertain(fault("answer_lost")), NOW)
        again = begin_next(db)
        settle(db, again, Accepted(result_id="second", delay=NOW - NOW), NOW)

    # When the run is over
    with database.reading() as db:
        first, second, *rest = told(db, batch_id)
        (listed,) = history.list_jobs(db, DEFAULT_PROJECT, batch_id=batch_id, is_lost=True)

    # Then both sums are there, and the command that is named lists the job
    price = PRICE // 1000
    assert f"{2 * price} credits and up to {price} more for answers that were lost" in first
    assert second == "1 paid calls lost their answers: `darkroom jobs --lost --batch 'two hares'`"
    assert not rest
    assert listed.id == lost


def test_a_lost_answer_that_came_after_all_is_counted_once(database: Database) -> None:
    # Given two calls whose answers were lost
    with database.transaction() as db:
        batch_id = make_batch(db)
        ids = [make_job(db, S.SUBMITTING, batch_id=batch_id, row=row) for row in range(2)]
        claims = [read_claim(db, job_id) for job_id in ids]
        for claim in claims:
            settle(db, claim, Uncertain(fault("answer_lost")), NOW)
        assert figures.losses(db, batch_id) == Losses(2, 2 * PRICE)

    # When one turns out to be accepted, and the other one refused
    with database.transaction() as db:
        settle(db, claims[0], Accepted(result_id="late", delay=NOW - NOW), NOW)
        settle(db, claims[1], TryAgain(fault("busy"), delay=NOW - NOW), NOW)

    # Then the one is paid for, and nothing is left to doubt
    with database.reading() as db:
        assert figures.losses(db, batch_id) == figures.losses(db) == Losses(2, 0)
        assert read_job(db, ids[0]).charged_milli == PRICE


def test_a_used_up_budget_comes_with_what_raises_it(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db, name="sixty", budget_milli=60_000)
        make_job(db, S.HELD, held_for="budget", batch_id=batch_id, row=0)
        make_job(db, S.HELD, held_for="funds", batch_id=batch_id, row=1)

        lines = told(db, batch_id)

    assert "2 are held: `darkroom jobs --state held --batch sixty`" in lines
    assert lines[-1].startswith("the budget of 60 credits has no room for 1 of them: ")
    assert "higher --budget" in lines[-1]
    assert "`darkroom batches set sixty --budget CREDITS`" in lines[-1]


def test_no_doubt_is_raised_of_what_went_well(database: Database) -> None:
    with database.transaction() as db:
        batch_id = make_batch(db)
        make_job(db, S.SUCCEEDED, batch_id=batch_id, row=0)

        (line,) = told(db, batch_id)

    assert "up to" not in line
