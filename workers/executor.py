"""One job, one step: submit, poll, store, or recover what a lost worker had begun.

A step comes to an Outcome, which `settle` commits. A step that would wait for nothing but time
ends instead: the job's due time brings it back.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

import requests
from sqlalchemy import Connection

from jobs import backoff
from jobs.catalog.loader import operation as find_operation
from jobs.catalog.operation import Operation
from jobs.crashpoints import crash_point
from jobs.db import is_away
from jobs.errors import InvalidJob, JobError, LimiterUnavailable, StorageError
from jobs.limiter.permits import LONGEST, PUNCTUAL, NotNow, Permit, reach
from jobs.models import INTERACTIVE
from jobs.outcomes import (
    Expired,
    Outcome,
    Received,
    Refused,
    Running,
    Snoozed,
    Stored,
    TryAgain,
    Uncertain,
    Unfunded,
)
from jobs.polling import growing_delay
from jobs.queue import attempts, breaker, leases, settling
from jobs.queue.moves import Claim
from jobs.stability import form
from jobs.stability.client import LINE_SECONDS
from jobs.states import JobState
from jobs.telemetry import log
from workers import inputs
from workers.answers import RESULT_LIFE, network_error, read_create, read_poll, result_expired
from workers.delivery import deliver
from workers.input_faults import InputFault
from workers.recovery import adopt_late, recover
from workers.resources import Resources

#: How long after a result's end the last poll may come: clocks differ, and outages end.
LAST_POLL = RESULT_LIFE + timedelta(minutes=30)
#: Crashes of workers that polled or stored one job before it is put aside.
MOST_CRASHES = 3
#: How long the way to the bucket may take before others are told that the bytes are here.
NOTICE_SECONDS = 0.2
#: Free space on the spool's disk below which nothing is paid.
ROOM_BYTES = 64 << 20
#: How long an open line waits for its slot: it must still be good for the call.
LONGEST_LINE = timedelta(seconds=LINE_SECONDS / 2)
#: How long a job waits whose part of Darkroom is away.
AWAY_DELAY = timedelta(seconds=2)
#: How long a job waits whose credential, or operation, is not known to this process.
STRANGER_DELAY = timedelta(seconds=30)
#: A result that is so old is asked for before anything else: the API soon forgets it.
OLD_RESULT = RESULT_LIFE - timedelta(hours=1)

POISON = JobError(
    code="poison",
    message=f"{MOST_CRASHES} workers died while they worked on this job; it is not tried again.",
    error_class="ours",
    retryable=False,
    charged="unknown",
)
NOT_SENT = JobError(
    code="not_sent",
    message="The request was not sent: its time slot had passed.",
    error_class="ours",
    retryable=True,
    charged="no",
)
STEP_FAILED = JobError(
    code="step_failed",
    message="A worker could not get the request ready; its log says why.",
    error_class="ours",
    retryable=True,
    charged="no",
)
NO_CREDENTIAL = JobError(
    code="no_credential",
    message="No credential may be used: each is stopped for a bad key or for want of funds.",
    error_class="billing",
    retryable=True,
    charged="no",
)


def execute(r: Resources, claim: Claim) -> None:
    """Do the job's next step, and settle what comes of it; suspects go one at a time.

    A worker died of this job, or of one beside it: when suspects share no process, the next death
    tells which it was.
    """
    if claim.crashes == 0:
        see_through(r, claim)
        return
    if not r.suspect.acquire(blocking=False):
        r.persist(lambda db, now: leases.give_back(db, claim, now + AWAY_DELAY))
        return
    try:
        see_through(r, claim)
    finally:
        r.suspect.release()


def see_through(r: Resources, claim: Claim) -> None:
    """Do one step, and settle it, whatever is raised."""
    try:
        operation = find_operation(claim.operation).called_with(claim.params)
    except InvalidJob as error:
        # A newer Darkroom let the job in: here nothing is begun, and a newer worker may take it.
        r.changes.say(claim.operation, str(error))
        r.persist(lambda db, now: leases.give_back(db, claim, now + STRANGER_DELAY))
        return
    try:
        outcome = step(r, operation, claim)
        if outcome is not None:
            settle(r, operation, claim, outcome)
    except (LimiterUnavailable, StorageError) as error:
        # These are raised only before anything was begun, or with all bytes still in the spool.
        r.changes.say(error.code, str(error))
        is_polling = claim.state == JobState.POLLING
        delay = r.settings.poll_gap if is_polling else AWAY_DELAY
        r.persist(lambda db, now: leases.give_back(db, claim, now + delay))
    except Exception as error:
        log.exception("step_failed", job=claim.id, state=claim.state)
        let_go(r, claim, error)


def let_go(r: Resources, claim: Claim, error: Exception) -> None:
    """End a step that failed in a way that nobody has thought of.

    A job that is queued by its row, too, has begun nothing: it is tried again some time later, and
    not for ever unless the database was away. How far another one came the next owner finds out.
    """
    if claim.state == JobState.QUEUED:
        delay = backoff.delay(claim.refusals)
        outcome = TryAgain(STEP_FAILED, delay, spends_try=not is_away(error))
        if r.persist_with(settling.settle_all, (claim, outcome)):
            return
    r.persist(lambda db, now: leases.abandon(db, claim, now))


def step(r: Resources, operation: Operation, claim: Claim) -> Outcome | None:
    """What the job's next step comes to; None if that is settled already."""
    if claim.crashes >= MOST_CRASHES:
        return Refused(POISON)
    if claim.state == JobState.QUEUED:
        return submit(r, operation, claim)
    if claim.state == JobState.POLLING:
        return poll(r, operation, claim)
    return recover(r, operation, claim)


def settle(r: Resources, operation: Operation, claim: Claim, outcome: Outcome) -> None:
    """Commit an outcome, however long the database is away; received bytes go on to the bucket."""
    if isinstance(outcome, Received):
        crash_point("spooled")
        settle(r, operation, *store(r, operation, claim))
        return
    if isinstance(outcome, Stored):
        crash_point("before_final_commit")
    r.persist_with(settling.settle_all, (claim, outcome))
    if isinstance(outcome, Stored) and claim.attempt_id is not None:
        # Also where somebody else has the job by now: whoever looks finds it in the bucket.
        r.spool.discard(claim.attempt_id)


def store(r: Resources, operation: Operation, claim: Claim) -> tuple[Claim, Outcome]:
    """Bring received bytes to the bucket; the claim by then, and what comes of it.

    That they were received is committed only if this takes its time. A worker that dies before
    leaves them in its spool, where they are found, as it would between spool and commit anyway.
    """
    received = replace(claim, state=JobState.STORING)
    notice = r.commits.soon(settling.settle_all, (claim, Received()), NOTICE_SECONDS)
    outcome: Outcome | None = None
    try:
        outcome = deliver(r, operation, received)
    finally:
        is_untold = notice.withdraw()
        is_lost = not is_untold and not notice.is_committed()
        if is_lost or (is_untold and not isinstance(outcome, Stored)):
            r.persist_with(settling.settle_all, (claim, Received()))
            is_untold = False
    return claim if is_untold else received, outcome


def submit(r: Resources, operation: Operation, claim: Claim) -> Outcome | None:
    """Make the paid call, unless an earlier one was answered after all."""
    if claim.attempts and adopt_late(r, operation, claim):
        return None
    if not r.spool.has_room(ROOM_BYTES):
        raise StorageError("the spool's disk is full, so nothing is sent")
    usable = r.keyring.usable()
    if not usable:
        return Unfunded(NO_CREDENTIAL)
    try:
        body = inputs.build_body(r, operation, claim)
    except InputFault as error:
        return error.outcome(claim)
    with closing(body):
        lead, is_urgent = r.leads.seconds, claim.priority >= INTERACTIVE
        longest = LONGEST + timedelta(seconds=lead)
        permit = r.limiter.reserve(usable, longest=longest, ready_in=lead, is_urgent=is_urgent)
        if isinstance(permit, NotNow):
            return Snoozed(permit.wait)
        # Whatever fails before the intent is committed leaves nothing that looks sent.
        key = r.keyring.key(permit.credential_id)
        if key is None:
            r.limiter.drop(permit)
            return Snoozed(STRANGER_DELAY)
        # To get ready takes its time however plenty the requests are.
        r.pollster.note_wait(permit.at - time.monotonic() - lead)
        # The intent is committed just before the slot comes, so that a slow database does not
        # make every request late, and a crash while waiting leaves nothing that looks sent.
        r.limiter.wait(permit, early=lead)
        try:
            with r.client.line() as connect_seconds:
                r.leads.connecting.learn(connect_seconds)
                slot = in_time(r, claim, permit)
                if isinstance(slot, NotNow):
                    return Snoozed(slot.wait)
                begun = begin(r, claim, slot)
                if begun is None:
                    r.limiter.drop(slot)
                    return Snoozed(AWAY_DELAY)
                outcome = send(r, operation, begun, body, key, slot, connect_seconds)
        except requests.RequestException as error:
            # Only opening the line raises this: nothing was begun.
            r.limiter.drop(permit)
            fault = network_error(error, was_sent=False)
            return TryAgain(fault, backoff.delay(claim.refusals))
    settle(r, operation, begun, outcome)
    return None


def in_time(r: Resources, claim: Claim, permit: Permit) -> Permit | NotNow:
    """The permit, or its credential's next one if connecting took so long that it is lost.

    Nothing is begun yet: an intent whose slot is lost would be written for nothing, and where
    connecting always takes long, no call would ever be sent.
    """
    committing = r.leads.committing.seconds
    if time.monotonic() + committing <= permit.at + PUNCTUAL.total_seconds():
        return permit
    r.limiter.drop(permit)
    later = r.limiter.reserve(
        [permit.credential_id],
        longest=LONGEST_LINE,
        ready_in=committing,
        is_urgent=claim.priority >= INTERACTIVE,
    )
    if isinstance(later, Permit):
        r.limiter.wait(later, early=committing)
    return later


def begin(r: Resources, claim: Claim, permit: Permit) -> Claim | None:
    """Commit the intent; None if this process is to begin nothing more, or the job is not ours."""
    if r.stopping.is_set() or not r.may_send:
        return None
    crash_point("before_intent")
    asked_at = time.monotonic()
    intent = attempts.Intent(claim=claim, credential_id=permit.credential_id, owner=r.owner)
    begun = r.commits.join(begin_allowed, intent)
    r.leads.committing.learn(time.monotonic() - asked_at)
    return begun


def begin_allowed(
    db: Connection, intents: Sequence[attempts.Intent], now: datetime
) -> list[Claim | None]:
    """Commit as many intents as the breaker lets: it may have opened since the jobs were sent."""
    most = breaker.most_to_begin(db, now)
    begun = attempts.begin_all(db, intents[:most], now)
    return [*begun, *[None] * (len(intents) - len(begun))]


def send(
    r: Resources,
    operation: Operation,
    claim: Claim,
    body: form.Body,
    key: str,
    permit: Permit,
    connect_seconds: float,
) -> Outcome:
    """One POST. What it raises makes the attempt uncertain only if all of the body was sent."""
    assert claim.attempt_id is not None
    r.limiter.wait(permit)
    if not (r.may_send and r.limiter.allows(permit)):
        r.limiter.drop(permit)
        return TryAgain(NOT_SENT, timedelta(0), spends_try=False)
    crash_point("before_post")
    path = form.address(operation, claim.params)
    answered_at = None
    try:
        with r.client.create(operation, path, body, key=key, attempt_id=claim.attempt_id) as answer:
            answered_at = time.monotonic()
            crash_point("after_post")
            return read_create(r, operation, claim, answer)
    except requests.RequestException as error:
        fault = network_error(error, was_sent=body.is_sent)
        if body.is_sent:
            return Uncertain(fault)
        return TryAgain(fault, backoff.delay(claim.refusals))
    finally:
        arrived_by = latest_arrival(
            operation, body, answered_at, reach(connect_seconds, r.distance.seconds)
        )
        r.limiter.settle(permit, arrived_by=arrived_by)


def latest_arrival(
    operation: Operation, body: form.Body, answered_at: float | None, reach_seconds: float
) -> float | None:
    """When a paid call had arrived at the latest; None if nothing but this moment bounds it.

    A synchronous answer comes after seconds of work: the end of sending says more.
    """
    if answered_at is None or operation.mode == "async":
        return answered_at
    if body.sent_at is None:
        return answered_at
    return min(answered_at, body.sent_at + reach_seconds)


def poll(r: Resources, operation: Operation, claim: Claim) -> Outcome:
    """Ask for a result. Nothing but its age, or a wrong id, can end the asking.

    Its age does, whether the API has no answer or its key is gone. To wait for a slot, or for
    another process to ask, comes to an end by itself.
    """
    assert claim.result_id is not None
    assert claim.credential_id is not None
    assert claim.accepted_at is not None
    age = r.database.now() - claim.accepted_at
    key = r.keyring.key(claim.credential_id)
    # Others may be awake while its own is stopped.
    if key is None or claim.credential_id not in r.keyring.awake():
        return Snoozed(STRANGER_DELAY) if age <= LAST_POLL else Expired(result_expired())
    is_urgent = claim.priority >= INTERACTIVE or age > OLD_RESULT
    permit = r.limiter.reserve([claim.credential_id], is_urgent=is_urgent)
    if isinstance(permit, NotNow):
        return Snoozed(permit.wait)
    r.pollster.note_wait(permit.at - time.monotonic())
    r.limiter.wait(permit)
    if r.stopping.is_set() or not (r.may_send and r.limiter.allows(permit)):
        r.limiter.drop(permit)
        return Snoozed(timedelta(0))
    age = r.database.now() - claim.accepted_at
    begun_at, answered_at = time.monotonic(), None
    try:
        with r.client.poll(operation, claim.result_id, key=key, polls=claim.polls) as answer:
            answered_at = time.monotonic()
            r.distance.learn(answered_at - begun_at)
            outcome = read_poll(r, operation, claim, answer, age)
    except requests.RequestException:
        outcome = Running(growing_delay(r.settings.poll_gap, claim.polls), was_told=False)
    finally:
        r.limiter.settle(permit, arrived_by=answered_at)
    if isinstance(outcome, Running | Snoozed) and age > LAST_POLL:
        return Expired(result_expired())
    return outcome
