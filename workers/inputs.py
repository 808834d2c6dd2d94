"""A job's input files, out of the bucket and into the request's body."""

import base64
import binascii
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from sqlalchemy import select

from jobs.catalog.operation import Operation
from jobs.errors import DarkroomError, JobError
from jobs.models import Asset, table
from jobs.queue.moves import Claim
from jobs.stability.form import Body, InputFile, build
from workers.resources import Resources

ASSET = table(Asset)
DATA_URL = re.compile(r"data:(image/(?:png|jpeg|webp));base64,(.*)", re.DOTALL)


class InputGone(DarkroomError):
    """An input of the job is not there."""

    code = "input_gone"

    def as_job_error(self) -> JobError:
        """As the job's row keeps it."""
        return JobError(
            code=self.code,
            message=str(self),
            error_class="user",
            retryable=False,
            charged="no",
        )


def build_body(r: Resources, operation: Operation, claim: Claim) -> Body:
    """The request's body with all inputs in it. Raises InputGone and StorageError."""
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(open_input(r, claim, name, reference))
            for name, reference in claim.inputs.items()
        }
        return build(operation, claim.params, seed=claim.seed, files=files)


@contextmanager
def open_input(r: Resources, claim: Claim, name: str, reference: str) -> Iterator[InputFile]:
    """An input as a stream. Raises InputGone."""
    if found := DATA_URL.fullmatch(reference):
        try:
            data = base64.b64decode(found[2], validate=True)
        except binascii.Error as error:
            raise InputGone(f"{name}: the data: address does not decode") from error
        yield InputFile(io.BytesIO(data), found[1])
        return
    with r.database.reading() as db:
        asset = db.execute(
            select(ASSET.c.key, ASSET.c.content_type).where(
                ASSET.c.id == reference.removeprefix("asset:"),
                ASSET.c.project_id == claim.project_id,
            )
        ).one_or_none()
    if asset is None:
        raise InputGone(f"{name}: there is no asset {reference}")
    with closing(r.storage.open(asset.key)) as stream:
        yield InputFile(stream, asset.content_type)
