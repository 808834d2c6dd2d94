"""The rows of a batch, as they come -> jobs to let in, and the faults of the others."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from api.access import BODY_BYTES
from api.bodies import JobBody
from api.parts import Parts
from api.problems import fault_of
from jobs.catalog.fields import mix_params
from jobs.catalog.loader import catalog
from jobs.errors import Fault, InvalidJob
from jobs.ingest import add_rows
from jobs.inputs import keep_inputs
from jobs.limits import NO_LIMITS, Limits, check_open, check_rows
from jobs.queue.intake import Draft, NewJob, draft
from jobs.settings import OnUncertain

#: Rows let in by one transaction, and the bytes of their lines that may be in memory. With fewer
#: rows its price shows; on SQLite so many keep other writers waiting for a quarter of a second.
ROWS_AT_ONCE = 4000
BYTES_AT_ONCE = 1024 * 1024
#: Faulty rows that an answer names.
MOST_SHOWN = 100

#: What of `defaults` is mixed with a row's own, name by name.
MIXED = ("params", "inputs", "metadata")


@dataclass(frozen=True)
class Common:
    """What all rows of a batch have in common."""

    project_id: str
    on_uncertain: OnUncertain
    defaults: Mapping[str, Any]
    limits: Limits = NO_LIMITS

    def check_limits(self, db: Connection, batch_id: str) -> None:
        """Raise LimitReached if rows that were added were too many."""
        check_rows(db, batch_id, self.limits)
        check_open(db, self.project_id, self.limits)

    def job_of(self, parts: Parts, row: int, raw: Any) -> NewJob | list[Fault]:
        """The job of a row, or what is wrong with it."""
        try:
            body = JobBody.model_validate(mixed(self.defaults, raw))
        except ValidationError as error:
            return [
                fault_of({**item, "loc": ("body", *item["loc"])})
                for item in error.errors(include_url=False)
            ]
        if faults := parts.policy.webhook_faults(body.webhook_url):
            return faults
        try:
            inputs = keep_inputs(
                parts.database, parts.storage, self.project_id, body.inputs, parts.policy
            )
        except InvalidJob as error:
            return list(error.faults)
        return body.as_new_job(inputs, self.on_uncertain, row=row)


def mixed(defaults: Mapping[str, Any], raw: Any) -> Any:
    """A row over the defaults; what is no object stays as it is, and is refused as that."""
    if not defaults or not isinstance(raw, Mapping):
        return raw
    whole = {**defaults, **raw}
    name = whole.get("operation")
    known = catalog().get(name) if isinstance(name, str) else None
    for group in MIXED:
        under, over = defaults.get(group), raw.get(group)
        if isinstance(under, Mapping) and isinstance(over, Mapping):
            whole[group] = {**under, **over}
            if known is not None and group == "params":
                whole[group] = mix_params(known, under, over)
    return whole


@dataclass
class Report:
    """What became of rows."""

    rows: int = 0
    refused: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, row: int, faults: Iterable[Fault]) -> None:
        """Note a row's faults."""
        self.refused += 1
        if len(self.errors) < MOST_SHOWN:
            self.errors.append({"row": row, "faults": [asdict(fault) for fault in faults]})

    def public(self) -> dict[str, Any]:
        """As the answer has it."""
        accepted = self.rows - self.refused
        errors = sorted(self.errors, key=lambda error: int(error["row"]))
        return {"accepted": accepted, "refused": self.refused, "errors": errors}


@dataclass(frozen=True)
class Piece:
    """Some lines of a stream, read."""

    lines: int
    drafts: Sequence[Draft]
    refused: Mapping[int, list[Fault]]


class Loader:
    """Lets the lines of one stream in, piece by piece, each in a transaction of its own."""

    def __init__(self, parts: Parts, common: Common, batch_id: str, *, from_row: int) -> None:
        self._parts = parts
        self._common = common
        self._batch_id = batch_id
        self._next = from_row
        self.report = Report()

    async def load(self, stream: AsyncIterator[bytes]) -> None:
        """Let a whole stream in; raises Conflict when the batch takes no more rows.

        While the database takes one piece, the next one is read: all that can be done without the
        database is done there, so that it never waits for us.
        """
        begun: asyncio.Task[None] | None = None
        try:
            async for lines in pieces_of(stream):
                piece = await run_in_threadpool(self._read, lines)
                if begun is not None:
                    await begun
                begun = asyncio.create_task(run_in_threadpool(self._let_in, piece))
        finally:
            if begun is not None:
                await begun

    def _read(self, lines: list[bytes]) -> Piece:
        drafts: list[Draft] = []
        refused: dict[int, list[Fault]] = {}
        project_id, now = self._common.project_id, self._parts.database.now()
        for row, line in enumerate(lines, start=self._next):
            job = self._job_of(row, line)
            if isinstance(job, NewJob):
                drafts.append(draft(job, now, project_id, self._batch_id))
            else:
                refused[row] = job
        self._next += len(lines)
        return Piece(len(lines), drafts, refused)

    def _let_in(self, piece: Piece) -> None:
        refused = dict(piece.refused)
        database, project_id = self._parts.database, self._common.project_id
        now = database.now()
        with database.transaction() as db:
            refused |= add_rows(db, project_id, self._batch_id, piece.drafts, now)
            self._common.check_limits(db, self._batch_id)
        self.report.rows += piece.lines
        for row in sorted(refused):
            self.report.refuse(row, refused[row])

    def _job_of(self, row: int, line: bytes) -> NewJob | list[Fault]:
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            return [Fault(field="", code="json_invalid", message="is no JSON")]
        return self._common.job_of(self._parts, row, raw)


async def pieces_of(stream: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The lines that are not empty, some at a time, however the bytes arrive."""
    lines: list[bytes] = []
    size, rest = 0, b""
    async for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > BODY_BYTES:
            raise HTTPException(413, f"A line may have {BODY_BYTES:,} bytes at the most")
        for line in filter(bytes.strip, whole):
            lines.append(line)
            size += len(line)
            if len(lines) == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
                yield lines
                lines, size = [], 0
    if rest.strip():
        lines.append(rest)
    if lines:
        yield lines
