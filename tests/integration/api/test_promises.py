"""How long an Idempotency-Key stands for its job."""

from datetime import timedelta

import pytest

from jobs.db import Database
from jobs.idempotency import LIFE, OtherBody, forget_old, submit_once
from tests.factories import NOW, new_job

SECOND = timedelta(seconds=1)


def submit(database: Database, after: timedelta, fingerprint: str = "one") -> tuple[str, bool]:
    with database.transaction() as db:
        return submit_once(
            db, new_job(), NOW + after, project_id="acme", key="k", fingerprint=fingerprint
        )


def test_a_key_stands_for_its_job_for_a_day(database: Database) -> None:
    first, _ = submit(database, timedelta(0))

    again = submit(database, LIFE)
    later, is_new = submit(database, 2 * LIFE + SECOND)

    assert again == (first, False)
    assert is_new
    assert later != first


def test_after_a_day_a_key_may_have_another_body(database: Database) -> None:
    submit(database, timedelta(0))

    with pytest.raises(OtherBody):
        submit(database, LIFE, "two")
    _, is_new = submit(database, LIFE + SECOND, "two")

    assert is_new


def test_old_keys_are_forgotten_and_young_ones_kept(database: Database) -> None:
    submit(database, timedelta(0))

    with database.transaction() as db:
        kept = forget_old(db, NOW + LIFE)
        forgotten = forget_old(db, NOW + LIFE + SECOND)

    assert (kept, forgotten) == (0, 1)
