"""Refusals in Stability's own shape, for whoever calls one of its addresses."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse

from jobs.errors import Fault
from jobs.stability.refusals import WORDS, is_v1, refusal

#: Everything below is an address as Stability has it.
PREFIX = "/stability"

#: Stability answers to what it cannot take with 400, where we say 422.
STATUSES = {"invalid_request": 400, "invalid_job": 400}
#: Names where neither Stability's word for the status nor our code would do.
NAMES = {403: "permission_denied"}
#: v1 has names of its own for some faults, and for the one status.
V1_NAMES = {"invalid_samples": "invalid_samples", "not_a_multiple": "invalid_height_or_width"}
V1_INTERNAL = "server_error"


def is_theirs(path: str) -> bool:
    """Whether the caller expects Stability's answers."""
    return path.startswith(f"{PREFIX}/")


def takes_bare_key(path: str) -> bool:
    """Whether the key may come without `Bearer`: v1's documents show it so."""
    return is_theirs(path) and is_v1(path.removeprefix(PREFIX))


def translated(
    request: Request,
    *,
    status: int,
    code: str,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One of our problems as Stability would say it."""
    status = STATUSES.get(code, status)
    sentences = [str(fault) for fault in faults] or [detail]
    name = NAMES.get(status) or WORDS.get(status, (code, ""))[0]
    if len(faults) == 1 and is_v1(own_path(request)):
        name = V1_NAMES.get(faults[0].code, name)
    return refused(request, status=status, name=name, sentences=sentences, headers=headers)


def refused(
    request: Request,
    *,
    status: int,
    name: str,
    sentences: Sequence[str],
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer itself; its id is the request's, which the log has too."""
    path = own_path(request)
    if name == WORDS[500][0] and is_v1(path):
        name = V1_INTERNAL
    error_id = str(request.scope.get("request_id"))
    body = refusal(path, error_id=error_id, name=name, sentences=sentences)
    return JSONResponse(body, status, headers)


def own_path(request: Request) -> str:
    """The address as Stability has it."""
    path: str = request.scope["path"]
    return path.removeprefix(PREFIX)
