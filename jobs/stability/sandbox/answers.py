"""The API's successful answers: media as bytes, or as base64 in JSON."""

from base64 import b64encode
from collections.abc import Sequence
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from jobs.stability.sandbox.plan import Plan


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
