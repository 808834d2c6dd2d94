"""What is wrong with a job's input, and what follows for the job; nothing was paid."""

import random
from datetime import timedelta

from jobs import backoff
from jobs.errors import (
    AddressRefused,
    DarkroomError,
    DownloadRefused,
    InvalidJob,
    JobError,
    NotFound,
    NotUploaded,
    Unreachable,
)
from jobs.outcomes import Outcome, Refused, Snoozed, TryAgain
from jobs.queue.moves import Claim
from workers.fetching import Busy

#: How long a job waits, at the most, for others that fetch, or for one whose output it needs.
TURN_SECONDS = 4.0


class InputFault(DarkroomError):
    """An input of the job cannot be used; nothing was paid."""

    def outcome(self, claim: Claim) -> Outcome | None:
        """What follows for the job; None if that is settled already."""
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

    def outcome(self, claim: Claim) -> Outcome | None:
        """Later, without a try being spent."""
        return Snoozed(timedelta(seconds=TURN_SECONDS * random.uniform(0.25, 1.0)))


class InputUnderWay(InputNotYet):
    """An input is being fetched, and the end of that brings the job back."""

    def outcome(self, claim: Claim) -> None:
        """The job was given back."""


def fault_of(name: str, error: BaseException) -> InputFault | None:
    """What an error says of an input; None for one that says nothing of it."""
    match error:
        case Busy():
            return InputNotYet()
        case Unreachable() | NotUploaded():
            return InputUnreachable(f"{name}: {error}")
        case NotFound():
            return InputGone(f"{name}: {error}")
        case AddressRefused() | DownloadRefused() | InvalidJob():
            return InputRefused(f"{name}: {error}")
    return None
