"""The endpoint where asynchronous results are fetched: a poll, from its id to its answer."""

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jobs.catalog.operation import ANY_RESULT
from jobs.stability.refusals import NO_GENERATION
from jobs.stability.sandbox.answers import media_answer
from jobs.stability.sandbox.books import Accepted
from jobs.stability.sandbox.delivery import GARBAGE, Delivery
from jobs.stability.sandbox.generation import injected
from jobs.stability.sandbox.ledger import Account
from jobs.stability.sandbox.plan import Plan
from jobs.stability.sandbox.problems import problem
from jobs.stability.sandbox.protocol import wire_of
from jobs.stability.sandbox.stage import Stage


def acceptable_at(path: str, plan: Plan) -> tuple[str, str]:
    """What the documents let a poll of this address ask for: the bytes, or JSON around them."""
    is_common = path.startswith(ANY_RESULT.format(id=""))
    return "*/*" if is_common else f"{plan.media}/*", "application/json"


class Collection:
    """Serves every result address."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def serve(self, request: Request) -> Delivery:
        """Answer 202 until the result is ready, then the result, and 404 once it has expired."""
        account: Account = request.state.account
        path, result_id = request.scope["path"], request.path_params["id"]
        account.counts.by_operation["poll"] += 1
        account.note_poll(result_id, wire_of(request.scope).arrived)
        accepted = self._stage.books.result(account, result_id)
        if accepted is None:
            name, sentence = NO_GENERATION
            return Delivery(problem(path, 404, name=name, errors=(sentence,)))
        is_ready = time.time() >= accepted.ready_at
        takes = acceptable_at(path, accepted.plan)
        if request.headers.get("accept", takes[0]).lower() not in takes:
            sentence = f"accept: must be one of {', '.join(takes)}"
            return Delivery(problem(path, 400, errors=(sentence,)))
        fault = self._stage.faults.draw_for_poll(accepted.operation, is_ready=is_ready)
        if fault:
            account.counts.faults[f"poll-{fault}"] += 1
        if fault and fault.startswith("status-"):
            return Delivery(injected(path, fault, account))
        answer: Response
        if is_ready:
            answer = await self._show(request, accepted, garbled=fault == "garbage")
        else:
            answer = JSONResponse({"id": accepted.id, "status": "in-progress"}, 202)
        return Delivery(answer, fault=fault, slow_seconds=self._stage.settings.slow_seconds)

    async def _show(self, request: Request, accepted: Accepted, *, garbled: bool) -> Response:
        body = GARBAGE if garbled else await self._stage.studio.draw(accepted.plan)
        as_json = request.headers.get("accept", "").startswith("application/json")
        return media_answer(accepted.plan, body, as_json=as_json)
