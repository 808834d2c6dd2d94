"""Many rows at once are the same rows as one by one."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from jobs.db import Database
from jobs.inserts import insert_rows
from jobs.models import DEFAULT_PROJECT
from jobs.queue.intake import FIRST_EVENTS, Draft, NewJob, admit, draft
from jobs.queue.moves import EVENT, JOB
from tests.factories import NOW, new_job

TEXTS = [
    "plain",
    "quotes \" and ' and \\",
    "back\nslash \\n",
    "füchse 狐 🦊",
    "\x01",
    "{}",
    "\\N",
    "",
]
TOUCHED = ("id", "seed")
MANY = 20


def drafts(jobs: Sequence[NewJob]) -> list[Draft]:
    return [draft(job, NOW, DEFAULT_PROJECT) for job in jobs]


def stored(database: Database) -> list[dict[str, object]]:
    with database.reading() as db:
        rows = db.execute(select(JOB).order_by(JOB.c.row)).mappings().all()
    return [{name: row[name] for name in row if name not in TOUCHED} for row in rows]


def test_rows_in_one_document_are_the_rows_that_single_inserts_make(database: Database) -> None:
    texts = [TEXTS[number % len(TEXTS)] for number in range(MANY)]
    jobs = [
        new_job(
            row=row,
            labels={"text": text, "deep": [{"n": 1.5, "none": None}], "big": 2**62},
            expires_at=NOW + timedelta(microseconds=row + 1) if row % 2 else None,
        )
        for row, text in enumerate(texts)
    ]

    with database.transaction() as db:
        together = admit(db, drafts(jobs), NOW)
    found = stored(database)
    with database.transaction() as db:
        db.execute(JOB.delete())
        for row in together:
            db.execute(insert(JOB), row)

    assert len(found) == MANY
    assert found == stored(database)


def test_what_is_only_equal_in_all_rows_stays_what_it_is(database: Database) -> None:
    jobs = [new_job(row=row, labels={"n": n}) for row, n in enumerate([1, True, 1.0])]

    with database.transaction() as db:
        admit(db, drafts(jobs), NOW)

    kept = [row["labels"] for row in stored(database)]
    assert repr(kept) == repr([{"n": 1}, {"n": True}, {"n": 1.0}])


def test_rows_in_one_document_are_numbered_by_the_database(database: Database) -> None:
    jobs = [new_job(row=row) for row in range(MANY)]

    with database.transaction() as db:
        admitted = admit(db, drafts(jobs), NOW)

    with database.reading() as db:
        events = db.execute(select(EVENT).order_by(EVENT.c.id)).all()
    assert [event.job_id for event in events] == [row["id"] for row in admitted]
    assert not any(event.tallied for event in events)


def test_nothing_of_a_document_with_a_bad_row_is_kept(database: Database) -> None:
    with database.transaction() as db:
        rows = admit(db, drafts([new_job(row=n) for n in range(MANY)]), NOW)
        db.execute(JOB.delete())
    rows[-1] |= {"id": rows[0]["id"]}

    with pytest.raises(Exception, match=r"(?i)unique"), database.transaction() as db:
        insert_rows(db, JOB, rows, then=FIRST_EVENTS)

    assert stored(database) == []
