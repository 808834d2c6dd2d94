"""What the interface answers: the forms that its documents show.

Handlers answer with plain JSON out of `jobs/public.py`; a test compares the two.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class FaultAnswer(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(examples=["params.prompt"])
    code: str = Field(examples=["required"])
    message: str = Field(examples=["is required"])


class Problem(BaseModel):
    """What went wrong, in the form of RFC 9457; `code` stays the same for ever."""

    type: str = Field(examples=["urn:darkroom:error:invalid_request"])
    title: str
    status: int = Field(examples=[422])
    code: str = Field(examples=["invalid_request"])
    detail: str
    request_id: str | None
    faults: list[FaultAnswer] = []


#: What a route answers, by its status, as the documents have it.
Answers = dict[int | str, dict[str, Any]]

#: Every guarded route may answer these.
PROBLEMS: Answers = {
    status: {
        "description": description,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    for status, description in {
        400: "The body cannot be read",
        401: "No valid key",
        403: "The key lacks the scope",
        404: "There is no such thing in this project",
        408: "The body did not come in time",
        409: "Its state does not allow this",
        413: "The body is too large",
        422: "The request has faults, all of them listed",
        429: "A limit of the key is reached; try again after `Retry-After` seconds",
        431: "There are too many headers, or too large ones",
        503: "A part does not answer; try again",
    }.items()
}


class Health(BaseModel):
    """That the process lives."""

    status: str


class Ready(BaseModel):
    """Every part, and `ok` or what is wrong with it."""

    status: str
    parts: dict[str, str]


class Credits(BaseModel):
    """Credits of one job."""

    estimated: float | None
    charged: float


class OutputAnswer(BaseModel):
    """A file that a job made."""

    index: int
    url: str
    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    seed: int | None
    finish_reason: str | None


class JobAnswer(BaseModel):
    """One paid call and its outputs."""

    id: str
    name: str | None
    operation: str
    state: str
    held_for: str | None
    priority: int
    position: int | None = Field(
        description="1 is the next of the project's jobs; told for one queued job at a time."
    )
    eta: datetime | None = Field(description="When it will have ended, by the measured rate.")
    params: dict[str, Any]
    inputs: dict[str, str]
    batch_id: str | None
    row: int | None
    attempts: int
    seed: int | None
    finish_reason: str | None
    credits: Credits
    error: dict[str, Any] | None
    outputs: list[OutputAnswer]
    metadata: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobPage(BaseModel):
    """Some jobs, the newest first; `next_cursor` leads on. A search may find nothing for a page."""

    items: list[JobAnswer]
    next_cursor: str | None


class EventAnswer(BaseModel):
    """One change of a job."""

    id: int
    job_id: str
    batch_id: str | None
    at: datetime
    verb: str
    origin: str | None
    state: str
    credits: float
    note: str | None


class AttemptAnswer(BaseModel):
    """One try at the paid call."""

    number: int
    credential_id: str
    fate: str
    begun_at: datetime
    result_id: str | None
    note: str | None


class History(BaseModel):
    """A job's whole story."""

    events: list[EventAnswer]
    attempts: list[AttemptAnswer]


class PriceRange(BaseModel):
    """Credits of one call; `most` is null where it grows with the parameters."""

    least: float
    most: float | None


class OperationAnswer(BaseModel):
    """One kind of job."""

    name: str
    title: str
    mode: str
    media: str
    legacy: bool
    credits: PriceRange
    params: dict[str, Any] = Field(description="JSON Schema of a job's params.")
    inputs: dict[str, Any] = Field(description="JSON Schema of a job's inputs.")
    rules: list[str] = Field(description="What ties parameters together, in words.")


class OperationList(BaseModel):
    """All operations."""

    items: list[OperationAnswer]


class Estimate(BaseModel):
    """What jobs would cost."""

    jobs: int
    credits: float
    seconds: float
    by_operation: dict[str, int]


class Spent(BaseModel):
    """Credits spent."""

    spent: float


class LimitsAnswer(BaseModel):
    """What the calling key may do at the most; null is no limit."""

    requests: int | None = Field(description="In a second.")
    open_jobs: int | None = Field(description="Of the project, with which the key may add some.")
    batch_rows: int | None = Field(description="In one batch.")
    bytes: int | None = Field(description="Uploaded in a day of UTC.")


class Usage(BaseModel):
    """What a project has asked for and paid."""

    project: str
    jobs: dict[str, int]
    credits: Spent
    weight: int = Field(description="Jobs started in a turn among the projects.")
    max_in_flight: int | None = Field(description="Jobs under way at once.")
    paused_by: list[str] = Field(
        description="What keeps jobs from being started: all, project, credentials."
    )
    workers: int | None = Field(description="That are there; null while nobody knows.")
    probe_at: datetime | None = Field(
        description="Answers to paid calls were lost one after the other: until one comes, a "
        "single call is tried at this time. Null while all is well."
    )
    limits: LimitsAnswer


class CredentialAnswer(BaseModel):
    """A Stability key as far as it may be known."""

    id: str
    name: str
    credits: float | None
    checked_at: datetime | None
    paused_at: datetime | None
    stopped_at: datetime | None
    stop_reason: str | None
    frozen_until: datetime | None = Field(
        description="The API has locked the key out (429) until then; it goes on by itself."
    )


class Balance(BaseModel):
    """What is left to spend."""

    credits: float | None
    credentials: list[CredentialAnswer]


class BatchCredits(BaseModel):
    """Credits of a batch."""

    estimated: float | None
    spent: float = Field(description="What is known to be charged.")
    lost_at_most: float = Field(
        description="What calls whose answers were lost may have cost besides, at most."
    )
    budget: float | None


class BatchAnswer(BaseModel):
    """Many jobs under one name."""

    id: str
    name: str
    size: int
    counts: dict[str, int]
    credits: BatchCredits
    uncertain: int = Field(description="Paid calls whose answers were lost.")
    priority: int
    weight: int = Field(description="Jobs started in a turn among the project's batches.")
    max_in_flight: int | None = Field(description="Jobs under way at once.")
    rate: float | None = Field(description="Jobs begun in a second, over the last minute.")
    eta_seconds: int | None
    eta: datetime | None = Field(description="When it will have ended; null while some is held.")
    paused_by: list[str] = Field(
        description="What keeps its jobs from being started: all, project, batch, credentials."
    )
    under_way: str | None = Field(
        description="Begun for all its jobs and not over: start, cancel, retry, prioritize."
    )
    next_row: int
    paused_at: datetime | None
    fronted_at: datetime | None
    canceled_at: datetime | None
    started_at: datetime | None
    created_at: datetime


class BatchPage(BaseModel):
    """Some batches, the newest first."""

    items: list[BatchAnswer]
    next_cursor: str | None


class RowError(BaseModel):
    """Why a row was not let in."""

    row: int
    faults: list[FaultAnswer]


class BatchReport(BatchAnswer):
    """A batch, and what became of the jobs that came with it."""

    accepted: int | None = None
    refused: int | None = None
    errors: list[RowError] = []


class IngestReport(BaseModel):
    """What became of rows; the first hundred faulty ones are named."""

    accepted: int
    refused: int
    errors: list[RowError]
    next_row: int


class Changed(BaseModel):
    """How many jobs were changed by now; what is left of a long one goes on by itself."""

    changed: int
    is_over: bool


class UploadAnswer(BaseModel):
    """Where an announced file is to be sent, and how: as the body, or as a form's `file` behind
    these fields."""

    method: Literal["PUT", "POST"]
    url: str
    fields: dict[str, str]
    headers: dict[str, str]
    expires_at: datetime


class AssetAnswer(BaseModel):
    """An uploaded input."""

    id: str
    sha256: str
    content_type: str
    bytes: int
    width: int | None
    height: int | None
    created_at: datetime
    #: Only in the answer to an announcement; null if the file is here already.
    upload: UploadAnswer | None = None
