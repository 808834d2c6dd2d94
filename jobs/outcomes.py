"""What a step of work can come to. The executor returns one; only the queue makes it a state."""

from dataclasses import dataclass
from datetime import timedelta

from jobs.errors import JobError


@dataclass(frozen=True, kw_only=True)
class StoredOutput:
    """A file that lies in the bucket, checked."""

    number: int
    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    seed: int | None
    finish_reason: str | None


@dataclass(frozen=True)
class Accepted:
    """The API gave a result id; the first poll is due after `delay`."""

    result_id: str
    delay: timedelta


@dataclass(frozen=True)
class Running:
    """The API is not done; the next poll is due after `delay`.

    `was_told` is False where the poll failed, and nobody knows whether it is done.
    """

    delay: timedelta
    was_told: bool = True


@dataclass(frozen=True)
class Received:
    """All bytes of the answer are on disk."""


@dataclass(frozen=True)
class Stored:
    """All outputs are in the bucket."""

    outputs: tuple[StoredOutput, ...]


@dataclass(frozen=True)
class Refused:
    """The API, or a check of ours, said no for good; nothing was paid unless `error` says so."""

    error: JobError


@dataclass(frozen=True)
class TryAgain:
    """Nothing was paid; the same call is worth another try after `delay`.

    `spends_try` tells whether it counts against the most tries: a 429 or a stopped credential
    does not.
    """

    error: JobError
    delay: timedelta
    spends_try: bool = True


@dataclass(frozen=True)
class Snoozed:
    """Nothing was begun: not now, but after `delay`."""

    delay: timedelta


@dataclass(frozen=True)
class Uncertain:
    """The answer to a paid call was lost."""

    error: JobError


@dataclass(frozen=True)
class Expired:
    """What was paid can no longer be fetched."""

    error: JobError


@dataclass(frozen=True)
class Unfunded:
    """No credential is left that may pay; the job is held until one is."""

    error: JobError


@dataclass(frozen=True)
class Refetch:
    """The asynchronous result arrived damaged: fetch it again after `delay`."""

    error: JobError
    delay: timedelta


Outcome = (
    Accepted
    | Running
    | Received
    | Stored
    | Refused
    | TryAgain
    | Snoozed
    | Uncertain
    | Expired
    | Unfunded
    | Refetch
)
