"""Stability's own addresses: a client of Stability that changes its base URL and its key."""

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests

from jobs.catalog.loader import addressed
from jobs.catalog.operation import Kind, Operation, Parameter
from jobs.catalog.validate import clean
from jobs.stability.client import accept_poll
from tests.functional import processes
from tests.functional.darkroom import DEADLINE_SECONDS, Darkroom
from tests.functional.shop import Shop, open_counter, open_shop
from tests.integration.sandbox.caller import CORE, Caller
from tests.integration.sandbox.test_operations import (
    assert_is_media,
    input_for,
    params_for,
    value_for,
)
from tests.servers import wait_until

CALLERS = 200
#: Threads that share the server's work, however many callers wait; and some for the rest.
MOST_THREADS = 60
#: A socket for each caller and the output that it reads, and what forty threads hold.
MOST_FILES = 2 * CALLERS + 250
V1_TEXT = "/v1/generation/stable-diffusion-v1-6/text-to-image"


@dataclass(frozen=True)
class Form:
    """A request as an existing client makes it."""

    operation: Operation
    params: Mapping[str, Any]
    files: Mapping[str, bytes]

    def send(self, caller: Caller, **headers: str) -> requests.Response:
        path = self.operation.path.format(engine_id=self.params.get("engine_id"))
        texts = {name: value for name, value in self.params.items() if name != "engine_id"}
        if self.operation.body == "json":
            return caller.post_json(path, texts, **headers)
        for prompt in texts.pop("text_prompts", ()):
            texts["text_prompts[0][text]"] = prompt["text"]
        return caller.post(path, {k: str(v) for k, v in texts.items()}, self.files, **headers)


def smallest(operation: Operation) -> Form:
    """No more than the operation demands."""
    params: dict[str, Any] = params_for(operation)
    if "text_prompts" in params:
        params["text_prompts"] = [{"text": params["text_prompts"]}]
    needed = [p for p in operation.parameters if p.kind is Kind.FILE and p.required]
    return Form(operation, params, {p.name: input_for(p) for p in needed})


def widest(operation: Operation) -> Form:
    """Every documented parameter that may stand beside those before it."""
    form = smallest(operation)
    for parameter in operation.parameters:
        if parameter.name not in {*form.params, *form.files}:
            wider = with_one_more(form, parameter)
            _, faults = clean(operation, wider.params, files=wider.files)
            form = form if faults else wider
    return form


def with_one_more(form: Form, parameter: Parameter) -> Form:
    """The form with its parameter at the default, or at the least that it may be."""
    if parameter.kind is Kind.FILE:
        return replace(form, files={**form.files, parameter.name: input_for(parameter)})
    value: Any = parameter.default
    if value is None:
        least = parameter.minimum
        value = {Kind.OBJECT: {}, Kind.PROMPTS: [{"text": "a lake"}]}.get(parameter.kind)
        value = value if value is not None else value_for(parameter)
        value = value if least is None else int(least)
    return replace(form, params={**form.params, parameter.name: value})


def having(darkroom: Darkroom, api: Caller, redis_url: str, **settings: str) -> Darkroom:
    """A user whose limits are far away."""
    user = darkroom.asking(api).having(REDIS_URL=redis_url, DARKROOM_POLL_SECONDS="0.2")
    return user.having(DARKROOM_RATE="1000/1s", **settings)


def through(shop: Shop, api: Caller) -> Caller:
    """The caller of the sandbox, with another base URL and another key, and nothing else."""
    return replace(api, address=f"{shop.address}/stability", key=shop.key)


def test_every_operation_answers_in_its_widest_and_smallest_form_as_stability_does(
    darkroom: Darkroom, api: Caller, redis_url: str
) -> None:
    forms = [make(o) for o in addressed().values() for make in (smallest, widest)]
    assert len(forms) == 2 * len(addressed())

    with open_shop(having(darkroom, api, redis_url)) as shop, ThreadPoolExecutor(8) as pool:
        ours = list(pool.map(lambda form: made(through(shop, api), form), forms))
    with ThreadPoolExecutor(8) as pool:
        theirs = list(pool.map(lambda form: made(api.with_key("direct"), form), forms))

    for form, mine, its in zip(forms, ours, theirs, strict=True):
        assert_alike(form.operation, mine, its)
    charges = [charge["operation"] for charge in api.ledger()["charges"]]
    assert sorted(charges) == sorted(form.operation.name for form in forms)


def made(caller: Caller, form: Form) -> requests.Response:
    """The result of a call, polled for where it is asynchronous."""
    answer = form.send(caller)
    assert answer.status_code == 200, (form, answer.text)
    if form.operation.mode == "sync":
        return answer
    assert answer.json().keys() == {"id"}
    result_id = answer.json()["id"]
    assert len(result_id) == 64
    polls: list[requests.Response] = []
    address = str(form.operation.result_path)
    accept = accept_poll(form.operation, address)

    def is_ready() -> bool:
        polls.append(caller.get(address.format(id=result_id), accept=accept))
        assert polls[-1].status_code in {200, 202}, polls[-1].text
        return polls[-1].status_code == 200

    wait_until(is_ready, f"{form.operation.name} is ready", DEADLINE_SECONDS)
    if len(polls) > 1:
        assert polls[0].json() == {"id": result_id, "status": "in-progress"}
    return polls[-1]


def assert_alike(operation: Operation, ours: requests.Response, theirs: requests.Response) -> None:
    """A client could not tell the two apart, but for the picture and its seed."""
    names = {"content-type", "finish-reason", "seed"}
    for answer in (ours, theirs):
        assert_is_media(content_of(operation, answer), operation.media)
    assert ours.headers["content-type"] == theirs.headers["content-type"], operation.name
    assert names & set(ours.headers) == names & set(theirs.headers), operation.name
    if operation.is_v1:
        (mine,), (its,) = ours.json()["artifacts"], theirs.json()["artifacts"]
        assert mine.keys() == its.keys()


def content_of(operation: Operation, answer: requests.Response) -> bytes:
    """The media in an answer."""
    if operation.is_v1:
        return b64decode(answer.json()["artifacts"][0]["base64"])
    return answer.content


def test_two_hundred_callers_wait_at_once_in_few_threads_and_files(
    darkroom: Darkroom, api: Caller, redis_url: str
) -> None:
    with (
        open_counter(having(darkroom, api, redis_url)) as shop,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        ours, pid = through(shop, api), shop.process.child.pid
        calls = [pool.submit(ours.core, f"view {n}", accept="image/*") for n in range(CALLERS)]
        wait_until(lambda: waiting(shop) == CALLERS, "all have come", DEADLINE_SECONDS)
        assert processes.open_files(pid) >= CALLERS
        watch = Watch(pid)

        with shop.working():
            wait_until(lambda: watch.until_done(calls), "all are answered", DEADLINE_SECONDS)
        answers = [call.result() for call in calls]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["seed"] for answer in answers}) == CALLERS
    assert len(api.ledger()["charges"]) == CALLERS
    assert watch.threads <= MOST_THREADS
    assert watch.files <= MOST_FILES


def waiting(shop: Shop) -> int:
    """How many jobs nobody has begun."""
    queued: int = shop.call("GET", "/v1/usage").json()["jobs"].get("queued", 0)
    return queued


@dataclass
class Watch:
    """The most threads and open files of a process, as far as they were seen."""

    pid: int
    threads: int = 0
    files: int = 0

    def until_done(self, calls: Sequence[Future[Any]]) -> bool:
        """Look once more, and tell whether all calls have ended."""
        self.threads = max(self.threads, processes.threads(self.pid))
        self.files = max(self.files, processes.open_files(self.pid))
        return all(call.done() for call in calls)


def test_who_goes_away_or_waits_too_long_finds_what_was_paid(
    darkroom: Darkroom, api: Caller, redis_url: str
) -> None:
    user = having(darkroom, api, redis_url, DARKROOM_WAIT_SECONDS="1")
    with open_counter(user) as shop:
        ours = through(shop, api)
        again = {"idempotency-key": "order-7", "accept": "image/*"}
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                ours.address + CORE,
                files={"prompt": (None, "a quiet lake")},
                headers={"authorization": f"Bearer {ours.key}", **again},
                timeout=0.5,
            )
        told = ours.core(**again)
        place = f"/v2beta/results/{told.json()['id']}"
        unready = ours.get(place)

        with shop.working():
            wait_until(lambda: ours.get(place).status_code == 200, "it is there", DEADLINE_SECONDS)
            fetched, same = ours.get(place, accept="image/*"), ours.core(**again)

    assert (told.status_code, told.json()["status"]) == (202, "in-progress")
    assert (unready.status_code, unready.json()) == (202, told.json())
    assert (fetched.status_code, fetched.headers["content-type"]) == (200, "image/png")
    assert (same.status_code, same.content) == (200, fetched.content)
    assert len(api.ledger()["charges"]) == 1


def test_on_sigterm_a_waiting_call_is_told_its_id_and_the_process_ends(
    darkroom: Darkroom, api: Caller, redis_url: str
) -> None:
    with open_counter(having(darkroom, api, redis_url)) as shop, ThreadPoolExecutor(1) as pool:
        call = pool.submit(through(shop, api).core)
        wait_until(lambda: waiting(shop) == 1, "the call has come")

        shop.process.terminate()

        told = call.result()
        assert shop.process.end().code == 0
    assert (told.status_code, told.json()["status"]) == (202, "in-progress")


def test_moderation_and_an_empty_account_are_told_in_stabilitys_words(
    darkroom: Darkroom, sandbox: Callable[..., Caller], redis_url: str
) -> None:
    api = sandbox("--credits", "4")
    with open_shop(having(darkroom, api, redis_url)) as shop:
        ours = through(shop, api)
        prompts = [{"text": "a lake, nsfw-refused"}]

        blurred = ours.core("a lake, nsfw-blurred", accept="application/json")
        refused = [ours.core("nsfw-refused"), ours.post_json(V1_TEXT, {"text_prompts": prompts})]
        unpaid = [ours.core() for _ in range(2)]
        jobs = shop.call("GET", "/v1/jobs?limit=2").json()["items"]

    assert (blurred.status_code, blurred.json()["finish_reason"]) == (200, "CONTENT_FILTERED")
    assert [(r.status_code, r.json()["name"]) for r in refused] == [
        (403, "content_moderation"),
        (400, "invalid_prompts"),
    ]
    assert [(r.status_code, r.json()["name"]) for r in unpaid] == [(402, "payment_required")] * 2
    assert [job["state"] for job in jobs] == ["canceled", "canceled"]
    assert len(api.ledger()["charges"]) == 1
