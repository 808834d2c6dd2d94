"""What an answer of the API means: the table of `docs/errors.md`, as pure functions.

`read_create` judges the answer to a paid call, `read_poll` the answer to a poll. Both look at the
head and, unless it is media, at the (short) body; neither does any I/O.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.catalog.operation import Operation
from jobs.errors import Charged, ErrorClass, JobError

#: Longest sentence of the API that is kept in a job's row.
LONGEST_MESSAGE = 1000
#: What can be asked for again in an address; the API's own are 64 hexadecimal characters.
RESULT_ID = re.compile(r"[!-~]{1,1000}")


@dataclass(frozen=True)
class Media:
    """The body is the result."""


@dataclass(frozen=True)
class Ticket:
    """The API works on it under this id."""

    result_id: str


@dataclass(frozen=True)
class NotDone:
    """The API still works on it, or would not say: poll again."""

    note: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A no that stays a no; nothing was paid."""

    error: JobError


@dataclass(frozen=True)
class Unpaid:
    """Nothing was paid, and the same call may work later."""

    error: JobError


@dataclass(frozen=True)
class Throttled:
    """The key is locked out."""

    error: JobError


@dataclass(frozen=True)
class KeyStopped:
    """The key is bad (401) or has no funds (402); the job is not to blame."""

    reason: str
    error: JobError


@dataclass(frozen=True)
class Unclear:
    """It may have been paid, and there is no answer to use."""

    error: JobError


@dataclass(frozen=True)
class Gone:
    """The API does not know this result id."""

    error: JobError


@dataclass(frozen=True)
class Elsewhere:
    """The API does not know this result id at this address; it may know it at another."""


CreateReply = Media | Ticket | Rejected | Unpaid | Throttled | KeyStopped | Unclear
PollReply = Media | NotDone | Throttled | KeyStopped | Gone | Elsewhere

#: What stands in JSON beside the id of a result that is to come; with more in it, it is a result.
TICKET = frozenset({"id", "status"})

#: Statuses of a create that are the caller's fault, and the codes they get.
USER_FAULTS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
}


def is_media(operation: Operation, status: int, content_type: str) -> bool:
    """Whether the body is to be streamed to disk: it is what the operation announces."""
    if status != 200:
        return False
    kind = content_type.partition(";")[0].strip().lower()
    if operation.media == "any":
        # Text is what a machine before the API says, or a page of its.
        return "/" in kind and not kind.startswith("text/")
    if operation.is_v1:
        return kind == "application/json"
    return kind.startswith(
        {"image": "image/", "video": "video/", "model": "model/"}[operation.media]
    )


def is_riddle(operation: Operation, content_type: str) -> bool:
    """Whether only the body tells what it is: a result, or the id of one that is to come."""
    kind = content_type.partition(";")[0].strip().lower()
    return operation.mode == "either" and kind == "application/json"


def read_create(
    operation: Operation, status: int, headers: Mapping[str, str], body: bytes
) -> CreateReply:
    """Judge the answer to a paid call; `body` is empty where `is_media` holds, but for riddles."""
    told = read_body(body)
    if (result_id := read_ticket(operation, status, told)) is not None:
        return Ticket(result_id)
    if operation.mode != "async" and is_media(operation, status, headers.get("content-type", "")):
        return Media()
    if 200 <= status < 300:
        return Unclear(_unexpected(operation, status, headers, body))
    if status == 401:
        return KeyStopped("key", _error("bad_key", status, told, "billing", "no", retryable=True))
    if status == 402:
        return KeyStopped(
            "funds", _error("no_funds", status, told, "billing", "no", retryable=True)
        )
    if status == 429:
        return Throttled(_error("rate_limited", status, told, "rate", "no", retryable=True))
    if _is_moderation(status, told):
        return Rejected(_error("content_moderation", status, told, "moderation", "no"))
    if status == 403:
        return Rejected(_error("forbidden", status, told, "user", "no"))
    if status == 503 or (status == 500 and is_own_error(told)):
        return Unpaid(_error("provider_error", status, told, "provider", "no", retryable=True))
    if 300 <= status < 400:
        return Rejected(_error("redirected", status, told, "ours", "no"))
    if 400 <= status < 500:
        return Rejected(_error(USER_FAULTS.get(status, "rejected"), status, told, "user", "no"))
    return Unclear(_error("gateway_error", status, told, "network", "unknown", retryable=True))


def read_poll(
    operation: Operation, status: int, headers: Mapping[str, str], body: bytes
) -> PollReply:
    """Judge the answer to a poll: only a 404 at a sure address can end it, and only age
    makes a 404 final."""
    told = read_body(body)
    if status == 202 or (status == 200 and is_waiting(operation, told)):
        return NotDone()
    if is_media(operation, status, headers.get("content-type", "")):
        return Media()
    if status == 404 and operation.mode == "either":
        return Elsewhere()
    if status == 404:
        return Gone(_error("result_unknown", status, told, "ours", "yes"))
    if status == 429:
        return Throttled(_error("rate_limited", status, told, "rate", "yes", retryable=True))
    # Where nobody knows the address, it may be closed to a key that is good.
    if status == 401 and operation.mode != "either":
        return KeyStopped("key", _error("bad_key", status, told, "billing", "yes", retryable=True))
    if status == 200:
        return NotDone(storable(f"answered 200 with {headers.get('content-type', 'no type')}"))
    return NotDone(f"answered {status}")


def read_body(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; empty for anything else."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def read_ticket(operation: Operation, status: int, told: Mapping[str, Any]) -> str | None:
    """The id of a result that is to come, or None.

    Where nobody knows whether the call is asynchronous, JSON with an id may be the result itself:
    it is a ticket if it says nothing else, or if the caller has said where results are fetched.
    """
    if status not in {200, 202} or operation.mode == "sync":
        return None
    is_sure = operation.mode == "async" or operation.result_path is not None
    return read_result_id(told) if is_sure or status == 202 or told.keys() <= TICKET else None


def is_waiting(operation: Operation, told: Mapping[str, Any]) -> bool:
    """Whether a poll was answered with the ticket once more, and not with 202."""
    return operation.mode == "either" and "id" in told and told.keys() <= TICKET


def read_result_id(told: Mapping[str, Any]) -> str | None:
    """The id of an accepted call, or None if there is none that could be kept and asked for."""
    result_id = told.get("id")
    if isinstance(result_id, str) and RESULT_ID.fullmatch(result_id):
        return result_id
    return None


def is_own_error(told: Mapping[str, Any]) -> bool:
    """Whether this is the API's own error body and not a gateway's."""
    return isinstance(told.get("name"), str) and ("errors" in told or "message" in told)


def _is_moderation(status: int, told: Mapping[str, Any]) -> bool:
    # v2beta refuses with 403; v1 with 400 and a name of its own.
    return (status, told.get("name")) in [(403, "content_moderation"), (400, "invalid_prompts")]


def _error(
    code: str,
    status: int,
    told: Mapping[str, Any],
    error_class: ErrorClass,
    charged: Charged,
    *,
    retryable: bool = False,
) -> JobError:
    return JobError(
        code=code,
        message=_sentence(status, told),
        error_class=error_class,
        retryable=retryable,
        charged=charged,
    )


def _sentence(status: int, told: Mapping[str, Any]) -> str:
    said = told.get("errors") or told.get("message")
    if isinstance(said, list):
        said = " ".join(str(line) for line in said)
    if not said:
        return f"The API answered {status}."
    return storable(str(said))[:LONGEST_MESSAGE]


def storable(text: str) -> str:
    """What a database can hold of a text: neither a zero, nor half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _unexpected(
    operation: Operation, status: int, headers: Mapping[str, str], body: bytes
) -> JobError:
    kind = headers.get("content-type", "no content type")
    return JobError(
        code="unusable_answer" if operation.mode == "either" else "unexpected_answer",
        message=storable(
            f"The API answered {status} with {kind}, which is no result; it began with "
            f"{body[:80]!r}."
        ),
        error_class="provider",
        retryable=True,
        charged="unknown",
    )
