"""Single jobs that are let in; those that come at the same time share a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from api.gathering import Gathering
from api.problems import InvalidRequest
from api.views import show_job
from jobs.db import Database
from jobs.idempotency import OtherBody, make_once
from jobs.limits import Limits, check_open
from jobs.public import new_job_public
from jobs.queue.intake import NewJob, admit, draft
from jobs.submission import asset_faults


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job that somebody asks for."""

    project_id: str
    job: NewJob
    limits: Limits
    #: The Idempotency-Key, and the hash of the body that came with it.
    key: str | None = None
    fingerprint: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether nothing but a clash of its key can keep it from being let in."""
        return not self.job.inputs and not self.job.needs and self.limits.open_jobs is None


@dataclass(frozen=True)
class Told:
    """A job in its public form, and whether it is new."""

    shown: dict[str, Any]
    is_new: bool = True


class Submissions:
    """Lets jobs in; lives on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plain: Gathering[Submission, Told] = Gathering(self._let_in_together)

    async def add(self, submission: Submission) -> Told:
        """Let a job in, or find the one that its key stands for.

        Raises InvalidRequest, OtherBody and TooManyJobs.
        """
        if submission.is_plain:
            return await self._plain.join(submission)
        # What may be refused late would undo its neighbours' work, and a count of open jobs locks
        # the project.
        return await run_in_threadpool(self._let_in_alone, submission)

    def _let_in_alone(self, submission: Submission) -> Told:
        now = self._database.now()
        with self._database.transaction() as db:
            told = once(db, submission, now)
            if told.is_new:
                check_open(db, submission.project_id, submission.limits)
        return told

    def _let_in_together(self, submissions: Sequence[Submission]) -> list[Told | Exception]:
        now = self._database.now()
        told: dict[int, Told | Exception] = {}
        with self._database.transaction() as db:
            # Keys are taken in their order, so that no two processes wait for each other's.
            keyed = [place for place, one in enumerate(submissions) if one.key is not None]
            for place in sorted(keyed, key=lambda place: name_of(submissions[place])):
                told[place] = once_or_clash(db, submissions[place], now)
            told |= let_in_unnamed(db, submissions, now)
        return [told[place] for place in range(len(submissions))]


def name_of(submission: Submission) -> tuple[str, str]:
    """What is unique of a submission with a key."""
    return submission.project_id, submission.key or ""


def let_in_unnamed(
    db: Connection, submissions: Sequence[Submission], now: datetime
) -> dict[int, Told]:
    """Let those without a key in, each project's at once; by their places in the sequence."""
    places: dict[str, list[int]] = {}
    for place, one in enumerate(submissions):
        if one.key is None:
            places.setdefault(one.project_id, []).append(place)
    told: dict[int, Told] = {}
    for project_id, mine in places.items():
        drafts = [draft(submissions[place].job, now, project_id) for place in mine]
        rows = admit(db, drafts, now)
        told |= {place: Told(new_job_public(row)) for place, row in zip(mine, rows, strict=True)}
    return told


def once_or_clash(db: Connection, submission: Submission, now: datetime) -> Told | OtherBody:
    """The job that a key stands for, or why it stands for another; then nothing was changed."""
    try:
        return once(db, submission, now)
    except OtherBody as error:
        return error


def once(db: Connection, submission: Submission, now: datetime) -> Told:
    """Let a job in, or find the one that its key stands for.

    Raises InvalidRequest and OtherBody.
    """
    project_id = submission.project_id
    rows: list[dict[str, Any]] = []

    def let_in() -> str:
        # What a job that is there already needed may have failed by now.
        if faults := asset_faults(db, project_id, submission.job):
            raise InvalidRequest(faults)
        rows.extend(admit(db, [draft(submission.job, now, project_id)], now))
        return str(rows[0]["id"])

    if submission.key is None:
        job_id, is_new = let_in(), True
    else:
        job_id, is_new = make_once(
            db,
            let_in,
            now,
            project_id=project_id,
            key=submission.key,
            fingerprint=submission.fingerprint,
        )
    # Half of the time of a submission would go into reading back what was just written.
    shown = new_job_public(rows[0]) if is_new else show_job(db, project_id, job_id)
    return Told(shown, is_new)
