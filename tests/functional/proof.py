"""Comparisons of what Darkroom says with what the sandbox, the bucket and the disk have."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from jobs.db import Database
from jobs.models import Attempt, table
from jobs.storage import open_storage
from tests.functional.darkroom import Darkroom
from tests.functional.media import assert_decodes
from tests.integration.sandbox.caller import Caller

MILLI = 1000


@dataclass(frozen=True)
class Books:
    """A batch as Darkroom has it, and the API's own books."""

    batch: dict[str, Any]
    jobs: list[dict[str, Any]]
    #: No command shows the ids of attempts, so these are the table's rows.
    attempts: dict[str, Row[Any]]
    ledger: dict[str, Any]

    @property
    def charges(self) -> dict[str, dict[str, Any]]:
        """What the API was paid for, by attempt."""
        return {charge["client_ref"]: charge for charge in self.ledger["charges"]}

    @property
    def spent_milli(self) -> int:
        """What Darkroom says that the batch has cost."""
        return round(float(self.batch["credits"]["spent"]) * MILLI)


def read_books(darkroom: Darkroom, batch: str, api: Caller) -> Books:
    """Everything that is known of a batch."""
    jobs = darkroom.jobs("--batch", batch)
    attempts = read_attempts(darkroom, {job["id"] for job in jobs})
    refs = {attempt.id for attempt in attempts}
    ledger = api.ledger()
    ledger["charges"] = [charge for charge in ledger["charges"] if charge["client_ref"] in refs]
    return Books(darkroom.batch(batch), jobs, {attempt.id: attempt for attempt in attempts}, ledger)


def read_attempts(darkroom: Darkroom, jobs: set[str]) -> list[Row[Any]]:
    """The attempts of these jobs."""
    database = Database(darkroom.as_settings.database_address)
    with database.reading() as db:
        rows = db.execute(select(table(Attempt))).all()
    database.close()
    return [row for row in rows if row.job_id in jobs]


def assert_all_made(darkroom: Darkroom, books: Books, out: Path, count: int) -> None:
    """Every row succeeded once; row, object and file are the same bytes, and they decode."""
    assert books.batch["counts"] == {"succeeded": count}
    assert sorted(job["row"] for job in books.jobs) == list(range(count))
    files = read_metadata(out)
    assert len(files) == count
    storage = open_storage(darkroom.as_settings)
    for job in books.jobs:
        (output,) = job["outputs"]
        record = files[job["id"]]
        path = out / record["file_name"]
        with storage.open(output["key"]) as stored, path.open("rb") as exported:
            stored_sha256 = sha256(stored.read()).hexdigest()
            assert output["sha256"] == stored_sha256 == file_digest(exported, "sha256").hexdigest()
        assert record["sha256"] == output["sha256"]
        assert_decodes(path)


def assert_seeds_are_known(books: Books) -> None:
    """What Darkroom says of each seed is what the API says."""
    for job in books.jobs:
        seeds = {
            charge["seed"]
            for ref, charge in books.charges.items()
            if books.attempts[ref].job_id == job["id"]
        }
        assert job["outputs"][0]["seed"] in seeds


def assert_limits_were_kept(books: Books, *, most_in_window: int, refusals: int = 0) -> None:
    """Neither too many requests, nor a result asked for too soon again."""
    assert books.ledger["refusals"] == refusals
    assert books.ledger["max_in_window"] <= most_in_window
    assert books.ledger["poll_gaps_too_short"] == 0


def assert_each_was_paid_once(books: Books) -> None:
    """One charge for each job, and all credits accounted for."""
    paid = Counter(books.attempts[ref].job_id for ref in books.charges)
    assert paid == Counter(job["id"] for job in books.jobs)
    # A slow machine may miss a slot; that call was never sent.
    sent = [attempt for attempt in books.attempts.values() if attempt.note != "not_sent"]
    assert len(sent) == len(books.jobs)
    assert books.spent_milli == price(books.ledger["charges"])


def assert_nothing_known_was_paid_twice(books: Books) -> None:
    """After a crash: a second payment only where the answer to the first was lost."""
    assert len(books.charges) == len(books.ledger["charges"]), "one attempt was charged twice"
    uncertain = {ref for ref, attempt in books.attempts.items() if attempt.uncertain_at}
    assert len(books.charges) - len(books.jobs) <= len(uncertain)
    for job in books.jobs:
        tries = [attempt for attempt in books.attempts.values() if attempt.job_id == job["id"]]
        *given_up, _last = sorted(tries, key=lambda attempt: attempt.number)
        assert not any(attempt.accepted_at or attempt.received_at for attempt in given_up), job
    known = [charge for ref, charge in books.charges.items() if ref not in uncertain]
    answered = [
        charge
        for ref, charge in books.charges.items()
        if books.attempts[ref].accepted_at or books.attempts[ref].received_at
    ]
    assert books.spent_milli == price(answered) >= price(known)


def price(charges: Sequence[dict[str, Any]]) -> int:
    """The sum of charges, in thousandths of a credit."""
    return sum(charge["credits_milli"] for charge in charges)


def read_metadata(out: Path) -> dict[str, dict[str, Any]]:
    """The lines of `metadata.jsonl`, by job."""
    lines = (out / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["job_id"]: record for record in map(json.loads, lines)}
