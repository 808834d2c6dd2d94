"""From the API's answer, or the lack of one, to an outcome."""

import time
from collections.abc import Iterator
from datetime import timedelta

import requests

from jobs import backoff, credentials
from jobs.catalog.operation import Operation
from jobs.crashpoints import crash_point
from jobs.errors import JobError, StorageError
from jobs.outcomes import (
    Accepted,
    Expired,
    Outcome,
    Received,
    Refetch,
    Refused,
    Running,
    Snoozed,
    TryAgain,
    Uncertain,
    Unfunded,
)
from jobs.polling import growing_delay
from jobs.queue.moves import Claim
from jobs.stability import reply
from jobs.stability.client import Arrival
from workers.blame import blame_job
from workers.resources import Resources

#: Larger answers are refused: Stability's largest are pictures of 16 megapixels.
MOST_BYTES = 512 << 20
#: Stability keeps results for 24 hours.
RESULT_LIFE = timedelta(hours=24)
#: A body that has not arrived by then does not arrive: no thread waits for it for ever.
LONGEST_BODY = timedelta(minutes=5)
#: How long a poll of a stopped credential waits for the next.
STOPPED_DELAY = timedelta(seconds=60)


def read_create(
    r: Resources, operation: Operation, claim: Claim, answer: requests.Response
) -> Outcome:
    """What the answer to the paid call comes to. Raises what requests raises."""
    arrival = Arrival(answer)
    may_be_result = operation.mode != "async"
    short = look(operation, answer, arrival, may_be_result=may_be_result)
    match reply.read_create(operation, answer.status_code, answer.headers, short):
        case reply.Media():
            return keep_paid(r, claim, answer, arrival)
        case reply.Ticket(result_id=result_id):
            crash_point("id_received")
            first = r.pollster.delay(operation.name, timedelta(0), 0)
            return Accepted(result_id, first)
        case reply.Rejected(error=error):
            return Refused(error)
        case reply.Unpaid(error=error):
            return TryAgain(error, backoff.delay(claim.refusals))
        case reply.Throttled(error=error):
            freeze(r, claim)
            return TryAgain(error, r.settings.freeze, spends_try=False)
        case reply.KeyStopped(reason=reason, error=error):
            if operation.mode == "either" and (again := blame_job(r, claim, reason, error)):
                return again
            stop_credential(r, claim, reason)
            if r.keyring.usable():
                return TryAgain(error, timedelta(0), spends_try=False)
            return Unfunded(error)
        case reply.Unclear(error=error):
            return Uncertain(error)


def read_poll(
    r: Resources, operation: Operation, claim: Claim, answer: requests.Response, age: timedelta
) -> Outcome:
    """What the answer to a poll comes to. Raises what requests raises."""
    arrival = Arrival(answer)
    short = look(operation, answer, arrival, may_be_result=True)
    delay = r.pollster.delay(operation.name, age, claim.polls + 1)
    match reply.read_poll(operation, answer.status_code, answer.headers, short):
        case reply.Media():
            learn_duration(r, operation, claim, age)
            return keep(r, claim, answer, arrival)
        case reply.NotDone(note=note):
            # A poll that did not tell is no reason to trust the plan: it grows instead.
            gap = r.settings.poll_gap
            if note is not None:
                return Running(growing_delay(gap, claim.polls), was_told=False)
            return Running(delay)
        case reply.Throttled():
            freeze(r, claim)
            return Running(max(delay, r.settings.freeze), was_told=False)
        case reply.KeyStopped(reason=reason):
            stop_credential(r, claim, reason)
            return Snoozed(STOPPED_DELAY)
        case reply.Elsewhere():
            return Running(delay, was_told=False)
        case reply.Gone(error=error):
            return gone(error, age)


def look(
    operation: Operation, answer: requests.Response, arrival: Arrival, *, may_be_result: bool
) -> bytes:
    """The start of a body that is no result for sure; nothing if it breaks off where the status
    alone says that nothing was done. Raises what requests raises."""
    content_type = answer.headers.get("content-type", "")
    is_result = may_be_result and reply.is_media(operation, answer.status_code, content_type)
    if is_result and not reply.is_riddle(operation, content_type):
        return b""
    try:
        return arrival.look()
    except requests.RequestException:
        if answer.status_code in range(400, 500) or answer.status_code == 503:
            return b""
        raise


def learn_duration(r: Resources, operation: Operation, claim: Claim, age: timedelta) -> None:
    """The result became ready after the poll before this one, and before this one."""
    assert claim.accepted_at is not None
    before = claim.polled_at - claim.accepted_at if claim.polled_at else timedelta(0)
    r.pollster.learn(operation.name, before, age)


def gone(error: JobError, age: timedelta) -> Outcome:
    """A 404: an old result has expired; a young one means a wrong key, or a wrong id."""
    if age < RESULT_LIFE:
        return Refused(error)
    return Expired(result_expired())


def result_expired() -> JobError:
    """The API keeps results for a day, and this one was not fetched in time."""
    return JobError(
        code="result_expired",
        message="The API keeps results for 24 hours, and this one could not be fetched in time.",
        error_class="provider",
        retryable=True,
        charged="yes",
    )


def freeze(r: Resources, claim: Claim) -> None:
    """A 429: nobody uses this credential until the thaw."""
    assert claim.credential_id is not None
    r.limiter.freeze(claim.credential_id, r.settings.freeze)
    r.changes.say(claim.credential_id, f"frozen for {r.settings.freeze.total_seconds():g} s")


def stop_credential(r: Resources, claim: Claim, reason: str) -> None:
    """A 401 or 402: nobody uses this credential until a check says otherwise."""
    credential_id = claim.credential_id
    assert credential_id is not None
    r.persist(lambda db, now: credentials.stop(db, credential_id, reason, now))
    r.keyring.forget()
    r.changes.say(credential_id, f"stopped: {reason}")


def keep_paid(r: Resources, claim: Claim, answer: requests.Response, arrival: Arrival) -> Outcome:
    """Keep a synchronous result; if it does not arrive whole, it may have been paid."""
    try:
        return keep(r, claim, answer, arrival)
    except requests.RequestException as error:
        return Uncertain(network_error(error, was_sent=True))
    except StorageError as error:
        return Uncertain(spool_error(error))


def keep(r: Resources, claim: Claim, answer: requests.Response, arrival: Arrival) -> Outcome:
    """Stream a result to the spool. Raises what requests raises, and StorageError."""
    assert claim.attempt_id is not None
    headers = answer.headers
    facts = {
        "content_type": headers.get("content-type", ""),
        "seed": headers.get("seed"),
        "finish_reason": headers.get("finish-reason"),
        "request_id": headers.get("x-request-id"),
    }
    r.spool.receive(claim.attempt_id, chunks(arrival), facts=facts, max_bytes=MOST_BYTES)
    return Received()


def chunks(arrival: Arrival) -> Iterator[bytes]:
    """The body, bit by bit; raises Timeout if it trickles for too long."""
    deadline = time.monotonic() + LONGEST_BODY.total_seconds()
    for chunk in arrival:
        yield chunk
        crash_point("mid_body")
        if time.monotonic() > deadline:
            raise requests.Timeout("the body trickles")


def network_error(error: requests.RequestException, *, was_sent: bool) -> JobError:
    """What went wrong on the way, without the address: it may hold secrets."""
    kind = type(error).__name__
    if was_sent:
        message = f"The request was sent, but its answer was lost ({kind})."
    else:
        message = f"The request could not be sent ({kind})."
    return JobError(
        code="answer_lost" if was_sent else "not_sent",
        message=message,
        error_class="network",
        retryable=True,
        charged="unknown" if was_sent else "no",
    )


def spool_error(error: StorageError) -> JobError:
    """The answer came, and could not be kept."""
    return JobError(
        code="spool_failed",
        message=f"The answer came but could not be kept: {error}.",
        error_class="storage",
        retryable=True,
        charged="yes",
    )


def can_be_fetched(operation: Operation, claim: Claim) -> bool:
    """Whether the API still has the result, under an id."""
    return operation.mode == "async" or claim.result_id is not None


def bytes_lost(r: Resources, operation: Operation, claim: Claim) -> Outcome:
    """The bytes came, and are neither in the spool nor in the bucket."""
    error = JobError(
        code="bytes_lost",
        message="The result had arrived, and was lost before it was in the bucket.",
        error_class="ours",
        retryable=True,
        charged="yes",
    )
    if can_be_fetched(operation, claim):
        return Refetch(error, growing_delay(r.settings.poll_gap, claim.polls))
    return Uncertain(error)


def damaged(r: Resources, operation: Operation, claim: Claim, message: str) -> Outcome:
    """The bytes came whole, and are not the media announced."""
    error = JobError(
        code="unusable_answer" if operation.mode == "either" else "bad_media",
        message=message,
        error_class="provider",
        retryable=True,
        charged="yes",
    )
    if can_be_fetched(operation, claim):
        return Refetch(error, growing_delay(r.settings.poll_gap, claim.polls))
    return Uncertain(error)
