"""The API's successful answers: media as bytes, or as base64 in JSON."""

from base64 import b64encode
from collections.abc import Sequence
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from jobs.catalog.operation import Operation
from jobs.stability.sandbox.plan import Plan

#: The values of `accept` that ask for an operation's media itself.
MEDIA_RANGES = {
    "image": ("image/", "*/*"),
    "video": ("video/", "*/*"),
    "model": ("model/", "*/*"),
}


class NotAcceptable(Exception):
    """The `accept` header asks for what this operation does not make."""


def wants_json(operation: Operation, accept: str) -> bool:
    """Whether the caller wants JSON and not the bytes; raises NotAcceptable."""
    ranges = [part.strip() for part in accept.lower().split(",") if part.strip()]
    if operation.is_v1:
        return not any(part.startswith("image/") for part in ranges)
    for part in ranges:
        if part.startswith("application/json") and operation.media != "model":
            return True
        if part.startswith(MEDIA_RANGES[operation.media]):
            return False
    if ranges:
        raise NotAcceptable
    return False


def finish_reason(plan: Plan) -> str:
    """SUCCESS, or that moderation blurred it."""
    return "CONTENT_FILTERED" if plan.filtered else "SUCCESS"


def media_answer(plan: Plan, body: bytes, *, as_json: bool) -> Response:
    """One piece of media, in v2beta's form."""
    headers = {"finish-reason": finish_reason(plan), "seed": str(plan.seed)}
    headers["x-request-id"] = uuid4().hex
    if not as_json:
        return Response(body, headers=headers, media_type=plan.content_type)
    content = {
        plan.media: b64encode(body).decode(),
        "finish_reason": finish_reason(plan),
        "seed": plan.seed,
    }
    media_type = f"application/json; type={plan.content_type}"
    return JSONResponse(content, headers=headers, media_type=media_type)


def artifacts_answer(drawn: Sequence[tuple[Plan, bytes]]) -> Response:
    """All samples, in v1's form."""
    artifacts = [
        {"base64": b64encode(body).decode(), "finishReason": finish_reason(plan), "seed": plan.seed}
        for plan, body in drawn
    ]
    return JSONResponse({"artifacts": artifacts}, headers={"x-request-id": uuid4().hex})
