"""A job's input files, from where they lie into the request's body."""

import io
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError

from jobs.assets import assets_by_id
from jobs.catalog.operation import Operation
from jobs.errors import DarkroomError, NotFound, ObjectMissing
from jobs.inputs import Needed, decoded
from jobs.models import Job, Output, table
from jobs.queue import leases, settling
from jobs.queue.moves import Claim
from jobs.references import (
    AssetReference,
    BucketReference,
    DataReference,
    Fetched,
    OutputReference,
    Reference,
    WebReference,
    parse,
)
from jobs.stability.form import Body, InputFile, build
from jobs.states import FINAL
from jobs.telemetry import log
from workers.input_faults import (
    InputGone,
    InputNotYet,
    InputRefused,
    InputUnderWay,
    fault_of,
)
from workers.resources import Resources

JOB = table(Job)
OUTPUT = table(Output)

#: When a job is looked after whose fetch did not bring it back: the worker is gone, or the host is
#: slower than most.
OVERDUE = timedelta(seconds=45)


class Slow(Exception):
    """A fetch takes longer than a job waits in its thread."""

    def __init__(self, fetch: "Future[str]") -> None:
        super().__init__()
        self.fetch = fetch


def build_body(r: Resources, operation: Operation, claim: Claim) -> Body:
    """The request's body with all inputs in it. Raises InputFault and StorageError."""
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(open_input(r, operation, claim, name, text))
            for name, text in claim.inputs.items()
        }
        return build(operation, claim.params, seed=claim.seed, files=files)


@contextmanager
def open_input(
    r: Resources, operation: Operation, claim: Claim, name: str, text: str
) -> Iterator[InputFile]:
    """An input as a stream. Raises InputFault and StorageError."""
    reference = parse(text)
    if isinstance(reference, DataReference):
        if (data := decoded(reference.text)) is None:
            raise InputRefused(f"{name}: the data: address does not decode")
        yield InputFile(io.BytesIO(data), reference.content_type)
        return
    try:
        found = find(r, claim, reference)
    except Slow as slow:
        park(r, claim, name, slow.fetch)
        raise InputUnderWay from slow
    except DarkroomError as error:
        if (fault := fault_of(name, error)) is None:
            raise
        raise fault from error
    # It was checked when the job came, unless it was not here then.
    assert reference is not None
    if faults := Needed(name, operation, name, reference).rule_faults(found):
        raise InputRefused("; ".join(map(str, faults)))
    try:
        stream = r.storage.open(found.key)
    except ObjectMissing as error:
        raise InputGone(f"{name}: {error}") from error
    with closing(stream):
        yield InputFile(stream, found.content_type)


def find(r: Resources, claim: Claim, reference: Reference | None) -> Row[Any]:
    """The row of what lies in the bucket; raises what stands in the way."""
    match reference:
        case AssetReference(asset_id):
            return find_asset(r, claim, asset_id)
        case OutputReference():
            return find_output(r, claim, reference)
        case WebReference() | BucketReference():
            with r.database.reading() as db:
                own = select(JOB.c.created_at).where(JOB.c.id == claim.id)
                submitted_at = db.execute(own).scalar_one()
            known = r.fetches.fetcher.known(claim.project_id, reference, submitted_at)
            return find_asset(r, claim, known or fetched(r, claim, reference))
    raise NotFound("it is no reference")


def fetched(r: Resources, claim: Claim, reference: Fetched) -> str:
    """The asset that it becomes, if that takes no time; raises Slow, Busy and what a fetch does."""
    fetch = r.fetches.begin(claim.project_id, reference)
    if not wait([fetch], r.fetches.patience_seconds).done:
        raise Slow(fetch)
    return fetch.result()


def park(r: Resources, claim: Claim, name: str, fetch: "Future[str]") -> None:
    """Give the job back until the fetch has ended: what it comes to is settled then."""
    r.persist(lambda db, now: leases.give_back(db, claim, now + OVERDUE))
    fetch.add_done_callback(lambda ended: go_on(r, claim, name, ended))


def go_on(r: Resources, claim: Claim, name: str, fetch: "Future[str]") -> None:
    """Make a parked job due, or settle that its fetch failed; not if somebody else took it."""
    error = fetch.exception()
    fault = fault_of(name, error) if error else None
    outcome = fault.outcome(claim) if fault else None
    try:
        if outcome is None:
            r.persist(lambda db, now: leases.call_back(db, claim, now))
        else:
            r.persist_with(settling.settle_all, (claim, outcome))
    except (RuntimeError, SQLAlchemyError):
        # The process ends: the job is overdue some time, and its input is fetched again.
        log.debug("fetch_untold", job=claim.id)


def find_asset(r: Resources, claim: Claim, asset_id: str) -> Row[Any]:
    """An asset; one that was announced and is there is looked at first."""
    with r.database.reading() as db:
        found = assets_by_id(db, claim.project_id, {asset_id}).get(asset_id)
    if found is None:
        raise NotFound(f"there is no asset {asset_id}")
    if found.key is not None:
        return found
    return find_asset(r, claim, r.uploads.complete(claim.project_id, asset_id))


def find_output(r: Resources, claim: Claim, reference: OutputReference) -> Row[Any]:
    """A file that another job made."""
    wanted = select(OUTPUT).where(
        OUTPUT.c.job_id == reference.job_id, OUTPUT.c.number == reference.number
    )
    own = select(JOB.c.state).where(
        JOB.c.id == reference.job_id, JOB.c.project_id == claim.project_id
    )
    with r.database.reading() as db:
        state = db.execute(own).scalar()
        output = db.execute(wanted).one_or_none()
    if state is None or (state in FINAL and output is None):
        raise NotFound(f"there is no {reference}")
    if output is None:
        raise InputNotYet
    return output
