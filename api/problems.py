"""Whatever goes wrong -> one answer in the form of RFC 9457, with a code that stays the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.methods import allowed
from api.stability import shape
from jobs.db import is_away
from jobs.errors import DarkroomError, Fault, LimitReached, PartUnavailable, TooManyBytes
from jobs.telemetry import log, redact

MEDIA_TYPE = "application/problem+json"

#: Codes of what the framework itself refuses.
FRAMEWORK_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: TooManyBytes.code,
    431: "headers_too_large",
}
#: When a part that is away may be back.
RETRY_AFTER_SECONDS = 5
#: Faults in one answer; a body has room for millions.
MOST_FAULTS = 100


class Unauthorized(DarkroomError):
    """Send a valid API key in the header `authorization`, after the word Bearer."""

    code = "unauthorized"
    status = 401


class Forbidden(DarkroomError):
    """The key lacks the scope for this."""

    code = "forbidden"
    status = 403


class InvalidRequest(DarkroomError):
    """The request has faults."""

    code = "invalid_request"
    status = 422

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults[:3]))
        self.faults = tuple(faults)


class InternalError(DarkroomError):
    """Something went wrong here; the log has it under the request id."""

    code = "internal_error"


def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """The one handler of all exceptions."""
    if isinstance(error, HTTPException):
        return framework_problem(request, error)
    known = as_known(error)
    if known.status >= 500:
        log.error("failed_request", path=request.url.path, code=known.code, exc_info=error)
    return problem(
        request,
        status=known.status,
        code=known.code,
        title=title_of(known),
        detail=redact(str(known)),
        faults=getattr(known, "faults", ()),
        headers=headers_of(known),
    )


def as_known(error: Exception) -> DarkroomError:
    """The error of our tree that says the same."""
    match error:
        case DarkroomError():
            return error
        case RequestValidationError():
            return InvalidRequest([fault_of(item) for item in error.errors()[:MOST_FAULTS]])
        case SQLAlchemyError() if is_away(error):
            return PartUnavailable("the database does not answer")
    return InternalError()


def fault_of(item: Mapping[str, Any]) -> Fault:
    """A fault of the body, a parameter or a header, with the path to its field."""
    where, *path = item["loc"]
    if where != "body":
        path = [where, *path]
    elif item["type"] == "json_invalid":
        # The place of a JSON error is a number of characters, and no field.
        path = []
    message = item["msg"].removeprefix("Value error, ")
    return Fault(field=path_of(path), code=item["type"], message=message)


def path_of(parts: Sequence[str | int]) -> str:
    """`jobs[3].params.prompt`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def framework_problem(request: Request, error: HTTPException) -> JSONResponse:
    """What the router and the body's readers refuse."""
    code = FRAMEWORK_CODES.get(error.status_code, "bad_request")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = allowed(request.app.state.methods, request.scope["path"])
    return problem(
        request,
        status=error.status_code,
        code=code,
        title=str(error.detail),
        detail=str(error.detail),
        headers=headers,
    )


def problem(
    request: Request,
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer itself."""
    if shape.is_theirs(request.scope["path"]):
        return shape.translated(
            request, status=status, code=code, detail=detail, faults=faults, headers=headers
        )
    body = {
        "type": f"urn:darkroom:error:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request.scope.get("request_id"),
    }
    if faults:
        body["faults"] = [asdict(fault) for fault in faults[:MOST_FAULTS]]
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def title_of(error: DarkroomError) -> str:
    """The sentence of the error's kind."""
    return (type(error).__doc__ or type(error).__name__).strip().partition("\n")[0]


def headers_of(error: DarkroomError) -> dict[str, str]:
    """What a client's library reads instead of the body."""
    if error.status == 401:
        return {"www-authenticate": "Bearer"}
    if isinstance(error, LimitReached):
        return {"retry-after": str(math.ceil(error.retry_after_seconds))}
    return {"retry-after": str(RETRY_AFTER_SECONDS)} if error.retryable else {}
