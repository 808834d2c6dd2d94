"""The paid calls of the catalog at Stability's addresses."""

from collections.abc import Awaitable, Callable

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api.access import BODY_BYTES, Known, router_for
from api.parts import UsesParts
from api.routes.jobs import IdempotencyKey
from api.stability.admission import admit_order
from api.stability.answer import accepted, answer_to
from api.stability.described import answers_of, request_of
from api.stability.order import order_in
from api.stability.shape import PREFIX
from api.stability.waiting import wait_for
from jobs.catalog.images import MAX_REQUEST_BYTES
from jobs.catalog.loader import addressed
from jobs.catalog.operation import Operation
from jobs.keys import Scope

Endpoint = Callable[..., Awaitable[Response]]

forms = router_for(Scope.SUBMIT, "stability", body_bytes=MAX_REQUEST_BYTES, refusals={})
objects = router_for(Scope.SUBMIT, "stability", body_bytes=BODY_BYTES, refusals={})


def endpoint_of(operation: Operation) -> Endpoint:
    """The endpoint of one operation."""

    async def create(
        request: Request,
        caller: Known,
        parts: UsesParts,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        async with order_in(request, operation) as order:
            job_id = await run_in_threadpool(admit_order, parts, caller, order, idempotency_key)
        if operation.mode == "async":
            return accepted(job_id)
        seen = await wait_for(parts, caller.project_id, job_id)
        return await run_in_threadpool(
            answer_to, parts, request, operation, seen, as_json=order.as_json
        )

    return create


for _operation in addressed().values():
    (objects if _operation.body == "json" else forms).add_api_route(
        PREFIX + _operation.path,
        endpoint_of(_operation),
        methods=["POST"],
        response_model=None,
        summary=_operation.title,
        responses=answers_of(_operation),
        openapi_extra=request_of(_operation),
    )
