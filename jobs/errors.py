"""Every exception of Darkroom, and the `Fault` and `JobError` values that travel as data.

    DarkroomError
    ├── SettingsError          a setting makes no sense
    ├── InvalidJob             a job's faults, all of them
    ├── InvalidManifest        a manifest's faults, by row
    ├── NotFound               no such thing in this project
    ├── Conflict               the thing exists, but not in a state that allows this
    │   └── NotUploaded        the file of an announced upload is not there yet
    ├── StorageError           the bucket did not do it; a retry may help
    │   ├── ObjectMissing      it answers, and has no such object
    │   └── BatchChanged       an output came whose columns the export does not know
    ├── LimitReached           the key may not do so much; a retry may help
    │   ├── TooManyRequests    in a second
    │   ├── TooManyJobs        that have not ended
    │   ├── TooManyRows        in one batch
    │   └── TooManyBytes       in a day
    ├── AddressRefused         an address that a user gave is not one that may be called
    ├── DownloadRefused        what is there is not taken: too large, compressed, not found
    ├── Unreachable            what is behind such an address did not answer; a retry may help
    ├── LimiterUnavailable     no permit can be had, so nothing is sent
    └── PartUnavailable        a database, broker or server did not answer

A docstring is the exception's default message.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

ErrorClass = Literal[
    "user", "moderation", "billing", "rate", "provider", "network", "storage", "ours"
]
Charged = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong with a job: which field, what, and how to mend it."""

    field: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, kw_only=True)
class JobError:
    """Why a job ended or waits, as it stands in its row; `docs/errors.md` lists the codes."""

    code: str
    message: str
    error_class: ErrorClass
    retryable: bool
    charged: Charged

    def as_row(self) -> dict[str, object]:
        """The public form: the design calls the class `class`, a word Python keeps."""
        row = asdict(self)
        row["class"] = row.pop("error_class")
        return row


class DarkroomError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    #: The HTTP status with which the API answers.
    status: ClassVar[int] = 500
    #: Whether the same call may succeed later.
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingsError(DarkroomError):
    """A setting makes no sense."""

    code = "bad_setting"


class InvalidJob(DarkroomError):
    """The job has faults."""

    code = "invalid_job"
    status = 422

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class InvalidManifest(DarkroomError):
    """The manifest has faults."""

    code = "invalid_manifest"
    status = 422

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class NotFound(DarkroomError):
    """There is no such thing in this project."""

    code = "not_found"
    status = 404


class Conflict(DarkroomError):
    """Its state does not allow this."""

    code = "conflict"
    status = 409


class NotUploaded(Conflict):
    """The file was announced, and is not there yet."""

    code = "not_uploaded"


class LimitReached(DarkroomError):
    """The key may not do so much."""

    code = "limit_reached"
    status = 429
    retryable = True
    #: When a retry may help.
    retry_after_seconds: float = 60

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds


class TooManyRequests(LimitReached):
    """The key may not send so many requests in a second."""

    code = "too_many_requests"


class TooManyJobs(LimitReached):
    """The project has as many open jobs as the key may add to."""

    code = "too_many_open_jobs"
    retry_after_seconds = 5


class TooManyRows(LimitReached):
    """The key may not put so many rows into one batch."""

    code = "too_many_rows"
    #: Only an operator can raise it.
    retry_after_seconds = 3600


class TooManyBytes(LimitReached):
    """The key may not upload so much in a day."""

    code = "too_many_bytes"


class StorageError(DarkroomError):
    """The bucket did not do it."""

    code = "storage_unavailable"
    status = 503
    retryable = True


class ObjectMissing(StorageError):
    """The bucket does not hold it."""

    code = "object_missing"
    status = 410
    retryable = False


class BatchChanged(StorageError):
    """The batch got new columns while it was read; export it again."""

    code = "batch_changed"


class AddressRefused(DarkroomError):
    """This address may not be called."""

    code = "address_refused"
    status = 422


class DownloadRefused(DarkroomError):
    """What is there is not taken."""

    code = "download_refused"
    status = 422


class Unreachable(DarkroomError):
    """The host did not answer as it should."""

    code = "unreachable"
    status = 502
    retryable = True


class LimiterUnavailable(DarkroomError):
    """No permit can be had now, so nothing is sent."""

    code = "limiter_unavailable"
    status = 503
    retryable = True


class PartUnavailable(DarkroomError):
    """A part that Darkroom needs does not answer."""

    code = "part_unavailable"
    status = 503
    retryable = True
