"""A job's input files, from where they lie into the request's body."""

import io
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select

from jobs import backoff
from jobs.assets import assets_by_id
from jobs.catalog.operation import Operation
from jobs.errors import (
    AddressRefused,
    DarkroomError,
    DownloadRefused,
    InvalidJob,
    JobError,
    NotFound,
    NotUploaded,
    ObjectMissing,
    Unreachable,
)
from jobs.inputs import Needed, decoded
from jobs.models import Job, Output, table
from jobs.outcomes import Outcome, Refused, Snoozed, TryAgain
from jobs.queue.moves import Claim
from jobs.references import (
    AssetReference,
    BucketReference,
    DataReference,
    OutputReference,
    Reference,
    WebReference,
    parse,
)
from jobs.stability.form import Body, InputFile, build
from jobs.states import FINAL
from workers.fetching import Busy
from workers.resources import Resources

JOB = table(Job)
OUTPUT = table(Output)

#: How long a job waits, at the most, for others that fetch, or for one whose output it needs.
TURN_SECONDS = 4.0


class InputFault(DarkroomError):
    """An input of the job cannot be used; nothing was paid."""

    def outcome(self, claim: Claim) -> Outcome:
        """What follows for the job."""
        return Refused(
            JobError(
                code=self.code,
                message=str(self),
                error_class="user",
                retryable=False,
                charged="no",
            )
        )


class InputGone(InputFault):
    """An input of the job is not there."""

    code = "input_gone"


class InputRefused(InputFault):
    """An input of the job is not one that may be used."""

    code = "input_refused"


class InputUnreachable(InputFault):
    """An input of the job could not be fetched."""

    code = "input_unreachable"

    def outcome(self, claim: Claim) -> Outcome:
        """Another try, some time later."""
        error = JobError(
            code=self.code,
            message=str(self),
            error_class="network",
            retryable=True,
            charged="no",
        )
        return TryAgain(error, backoff.delay(claim.refusals))


class InputNotYet(InputFault):
    """An input is being fetched, or made, by somebody else."""

    code = "input_not_yet"

    def outcome(self, claim: Claim) -> Outcome:
        """Later, without a try being spent."""
        return Snoozed(timedelta(seconds=TURN_SECONDS * random.uniform(0.25, 1.0)))


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
    except Busy as error:
        raise InputNotYet from error
    except (Unreachable, NotUploaded) as error:
        raise InputUnreachable(f"{name}: {error}") from error
    except NotFound as error:
        raise InputGone(f"{name}: {error}") from error
    except (AddressRefused, DownloadRefused, InvalidJob) as error:
        raise InputRefused(f"{name}: {error}") from error
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
            return find_asset(r, claim, known or r.fetches.fetch(claim.project_id, reference))
    raise NotFound("it is no reference")


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
