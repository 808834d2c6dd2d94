"""The endpoint of one operation: a paid call, from its body to its answer."""

import asyncio
import io
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jobs.catalog.engines import ENGINES
from jobs.catalog.images import image_faults
from jobs.catalog.operation import Operation
from jobs.catalog.validate import clean
from jobs.stability.accept import NotAcceptable, acceptable, wants_json
from jobs.stability.parsing import BadBody
from jobs.stability.sandbox.answers import artifacts_answer, media_answer
from jobs.stability.sandbox.books import SECONDS_PER_HOUR, Accepted
from jobs.stability.sandbox.delivery import GARBAGE, Delivery
from jobs.stability.sandbox.ledger import Account, Charge
from jobs.stability.sandbox.plan import Plan, plan_of
from jobs.stability.sandbox.problems import problem, refused_prompt
from jobs.stability.sandbox.stage import MAX_SEED, Stage
from jobs.stability.sandbox.submission import (
    BLURRED_WORD,
    REFUSED_WORD,
    BodyTooLarge,
    Submission,
    parse,
    read_body,
)


class Refusal(Exception):
    """The API refuses the call; nothing is charged."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class Generation:
    """Serves one operation."""

    def __init__(self, stage: Stage, operation: Operation) -> None:
        self._stage = stage
        self._operation = operation

    async def serve(self, request: Request) -> Delivery:
        """Read, check, charge, draw, answer."""
        account: Account = request.state.account
        account.counts.by_operation[self._operation.name] += 1
        fault = self._stage.faults.draw_for_create(self._operation.name)
        try:
            submission, as_json = await self._accept(request, fault, account)
            if fault == "reset-before-charge":
                return Delivery(Response(), fault=fault)
            params = self._check(request, submission)
            return await self._perform(request, submission, params, as_json=as_json, fault=fault)
        except Refusal as refusal:
            return Delivery(refusal.answer)

    async def _accept(
        self, request: Request, fault: str | None, account: Account
    ) -> tuple[Submission, bool]:
        """Read the body whatever happens; then the injected refusals, then the real ones."""
        path = request.scope["path"]
        try:
            body = await read_body(request)
            if fault:
                account.counts.faults[fault] += 1
            if fault and fault.startswith("status-"):
                raise Refusal(injected(path, fault, account))
            submission = await parse(request, self._operation, body)
            return submission, wants_json(self._operation, request.headers.get("accept", ""))
        except BodyTooLarge as error:
            raise Refusal(problem(path, 413)) from error
        except BadBody as error:
            raise Refusal(problem(path, 400, errors=(str(error),))) from error
        except NotAcceptable as error:
            sentence = f"accept: {acceptable(self._operation)}"
            raise Refusal(problem(path, 400, errors=(sentence,))) from error

    def _check(self, request: Request, submission: Submission) -> Mapping[str, Any]:
        """The clean parameters, or the refusal that the API would send."""
        path = request.scope["path"]
        engine = request.path_params.get("engine_id")
        if engine is not None and engine not in ENGINES:
            sentence = f"The specified engine (ID {engine}) was not found."
            raise Refusal(problem(path, 404, errors=(sentence,)))
        params, faults = clean(
            self._operation,
            submission.params,
            files=submission.files,
            from_text=submission.from_text,
        )
        for name, content in submission.files.items():
            faults += image_faults(self._operation, name, io.BytesIO(content))
        if faults:
            raise Refusal(problem(path, 400, errors=tuple(str(fault) for fault in faults)))
        if REFUSED_WORD in submission.prompt:
            raise Refusal(refused_prompt(path))
        return params

    async def _perform(
        self,
        request: Request,
        submission: Submission,
        params: Mapping[str, Any],
        *,
        as_json: bool,
        fault: str | None,
    ) -> Delivery:
        account: Account = request.state.account
        plans = self._plan(submission, params)
        accepted = self._promise(account, plans[0]) if self._operation.mode == "async" else None
        charge = self._bill(request, submission, params, plans[0], accepted)
        if not self._stage.books.charge(account, charge, accepted):
            raise Refusal(problem(request.scope["path"], 402))
        if fault == "hang":
            answer = Response()
        elif accepted is not None:
            answer = id_answer(accepted.id, garbled=fault == "garbage")
        else:
            answer = await self._draw(plans, as_json=as_json, garbled=fault == "garbage")
        return Delivery(
            answer,
            fault=fault,
            slow_seconds=self._stage.settings.slow_seconds,
            on_sent=lambda: self._stage.books.note_answered(account, charge.id),
        )

    def _plan(self, submission: Submission, params: Mapping[str, Any]) -> list[Plan]:
        """One plan for each sample; each has a seed of its own."""
        first_seed = int(params.get("seed") or 0) or self._stage.draw_seed()
        samples = int(params.get("samples", 1)) if self._operation.is_v1 else 1
        plan = plan_of(
            self._operation,
            params,
            seed=first_seed,
            prompt=submission.prompt,
            source=submission.source(self._operation),
            inputs_sha256=submission.inputs_sha256,
            filtered=BLURRED_WORD in submission.prompt,
        )
        return [
            replace(
                plan,
                seed=(first_seed + number - 1) % MAX_SEED + 1,
                look=sha256(f"{plan.look}{number}".encode()).hexdigest() if number else plan.look,
            )
            for number in range(samples)
        ]

    def _bill(
        self,
        request: Request,
        submission: Submission,
        params: Mapping[str, Any],
        plan: Plan,
        accepted: Accepted | None,
    ) -> Charge:
        return Charge(
            id=secrets.token_hex(16),
            operation=self._operation.name,
            credits_milli=self._operation.price_of(params),
            seed=plan.seed,
            at=time.time(),
            prompt_sha256=digest_of(submission.prompt),
            inputs_sha256=submission.inputs_sha256,
            client_ref=request.headers.get("stability-client-user-id"),
            result_id=accepted.id if accepted else None,
        )

    def _promise(self, account: Account, plan: Plan) -> Accepted:
        """An asynchronous result, ready after a while and kept for a day."""
        ready_at = time.time() + self._stage.draw_async_latency()
        return Accepted(
            id=secrets.token_hex(32),
            account=account.digest,
            operation=self._operation.name,
            plan=plan,
            ready_at=ready_at,
            expires_at=ready_at + self._stage.settings.result_hours * SECONDS_PER_HOUR,
        )

    async def _draw(self, plans: list[Plan], *, as_json: bool, garbled: bool) -> Response:
        """The answer of a synchronous operation, after its latency."""
        due = time.monotonic() + self._stage.draw_latency()
        drawn = [
            (plan, GARBAGE if garbled else await self._stage.studio.draw(plan)) for plan in plans
        ]
        await asyncio.sleep(max(due - time.monotonic(), 0))
        if self._operation.is_v1 and as_json:
            return artifacts_answer(drawn)
        return media_answer(*drawn[0], as_json=as_json)


def injected(path: str, fault: str, account: Account) -> Response:
    """The answer of a `status-` fault; 429 locks the key out, as the real one does."""
    status = int(fault.removeprefix("status-"))
    if status == 429:
        account.window.freeze(time.monotonic())
    return problem(path, status)


def id_answer(result_id: str, *, garbled: bool) -> Response:
    """The answer of an asynchronous operation; 200, as the documents say."""
    if garbled:
        return Response(GARBAGE, media_type="application/json")
    return JSONResponse({"id": result_id})


def digest_of(prompt: str) -> str | None:
    """The prompt's digest; None without a prompt."""
    return sha256(prompt.encode()).hexdigest() if prompt else None
