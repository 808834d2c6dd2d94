"""Calls at addresses that the catalog does not know, over a real socket, with all promises kept."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from jobs.limiter import permits
from jobs.queue.breaker import OPENS_AT
from jobs.stability.client import StabilityClient
from jobs.stability.sandbox.submission import BLURRED_WORD, REFUSED_WORD
from tests.integration.sandbox.caller import picture
from tests.integration.workshop import Workshop
from tests.sockets import Caller, header, scripted
from workers.maintenance.sweeper import sweep_spool
from workers.maintenance.waker import wake_waiting_jobs

PICTURE, LATER = "/v2beta/sandbox/picture", "/v2beta/sandbox/later"
WORDS, ARTIFACTS = "/v2beta/sandbox/words", "/v1/sandbox/artifacts"
#: What the sandbox gives to a key that it has not seen before.
CREDITS = 10_000
ELSEWHERE = "/v2beta/next/result/{id}"


def asked(shop: Workshop, path: str, fields: dict[str, Any] | None = None, **changes: Any) -> str:
    """Let a request in, of 2 credits and one prompt; what is no column of a job is a parameter."""
    columns = {name: changes.pop(name) for name in ("inputs", "on_uncertain") if name in changes}
    sent = {"prompt": "a quiet lake"} if fields is None else fields
    params = {"path": path, "credits": 2, "fields": sent, **changes}
    return shop.submit("request", params=params, **columns)


def stored(shop: Workshop, job_id: str) -> list[bytes]:
    """What lies in the bucket of the job, each as its row says."""
    contents = []
    for output in shop.outputs(job_id):
        with shop.r.storage.open(output.key) as source:
            contents.append(source.read())
        assert hashlib.sha256(contents[-1]).hexdigest() == output.sha256
    return contents


def test_a_picture_at_once_is_stored_and_paid_once(shop: Workshop) -> None:
    job_id = asked(shop, PICTURE, {"prompt": "a quiet lake", "seed": 7})

    shop.work()

    job, attempts = shop.job(job_id), shop.attempts(job_id)
    (output,) = shop.outputs(job_id)
    assert (job.state, job.seed, job.charged_milli) == ("succeeded", 7, 2000)
    assert (output.content_type, output.width, output.seed) == ("image/png", 1024, 7)
    assert len(stored(shop, job_id)) == 1
    (charge,) = shop.api.ledger()["charges"]
    assert (charge["operation"], charge["client_ref"]) == ("sandbox/picture", attempts[-1].id)


def test_an_id_is_kept_before_anything_else_and_polled_for(shop: Workshop) -> None:
    job_id = asked(shop, LATER)

    shop.work()
    accepted = shop.job(job_id)
    shop.work()

    assert (accepted.state, accepted.lease_owner) == ("polling", None)
    assert accepted.result_id == shop.attempts(job_id)[-1].result_id
    assert shop.job(job_id).state == "succeeded"
    assert shop.job(job_id).charged_milli == 2000
    assert shop.charges() == len(stored(shop, job_id)) == 1


def test_damaged_media_of_an_id_is_fetched_again_and_not_paid_again(small: Workshop) -> None:
    job_id = asked(small, LATER)
    small.work()
    small.api.fault(poll_garbage="1x1")

    small.work()
    damaged = small.job(job_id)
    small.work()

    assert damaged.state == "polling"
    assert small.job(job_id).state == "succeeded"
    assert small.charges() == 1


def test_json_that_is_no_media_is_stored_as_it_came(small: Workshop) -> None:
    job_id = asked(small, WORDS, body="json")

    small.work()

    (output,) = small.outputs(job_id)
    assert small.job(job_id).state == "succeeded"
    assert (output.content_type, output.key.rpartition(".")[2]) == ("application/json", "json")
    assert b"caption" in stored(small, job_id)[0]


def test_a_picture_in_json_is_stored_as_a_picture_however_large(small: Workshop) -> None:
    job_id = asked(small, PICTURE, accept="application/json")

    small.work()

    (output,) = small.outputs(job_id)
    assert (output.content_type, output.width) == ("image/png", 1024)
    assert stored(small, job_id)[0].startswith(b"\x89PNG")


def test_artifacts_of_v1_are_stored_one_by_one(small: Workshop) -> None:
    fields = {"text_prompts": [{"text": "a lake"}], "samples": 2, "seed": 4}
    job_id = asked(small, ARTIFACTS, fields, body="json", credits=1.8)

    small.work()

    assert [output.seed for output in small.outputs(job_id)] == [4, 5]
    assert len(stored(small, job_id)) == 2
    assert small.job(job_id).charged_milli == 1800


def test_files_of_any_name_are_sent(small: Workshop) -> None:
    content = base64.b64encode(picture(96, 64)).decode()
    inputs = dict.fromkeys(["image", "style_reference"], f"data:image/png;base64,{content}")
    job_id = asked(small, PICTURE, inputs=inputs)

    small.work()

    (output,) = small.outputs(job_id)
    assert (output.width, output.height) == (96, 64)
    assert small.api.ledger()["charges"][0]["inputs_sha256"]


@pytest.mark.parametrize(
    ("path", "fields", "state", "code", "message"),
    [
        ("/v2beta/nothing/here", {}, "failed", "not_found", "requested resource was not found"),
        (PICTURE, {"promt": "a"}, "failed", "bad_request", "did you mean prompt? prompt: is"),
        (PICTURE, {"prompt": REFUSED_WORD}, "failed", "content_moderation", "was flagged"),
    ],
)
def test_a_no_is_passed_on_in_the_words_of_the_api(
    small: Workshop, path: str, fields: dict[str, Any], state: str, code: str, message: str
) -> None:
    job_id = asked(small, path, fields)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.error["code"], job.error["charged"]) == (state, code, "no")
    assert message in job.error["message"]
    assert small.charges() == job.charged_milli == 0


def test_a_blurred_picture_is_filtered_and_charged(small: Workshop) -> None:
    job_id = asked(small, PICTURE, {"prompt": BLURRED_WORD}, accept="application/json")

    small.work()

    assert (small.job(job_id).state, small.job(job_id).charged_milli) == ("filtered", 2000)


@pytest.mark.parametrize(
    ("accept", "fault", "code"),
    [
        ("*/*", "truncate", "answer_lost"),
        ("application/json", "truncate", "answer_lost"),
        ("*/*", "reset-after-charge", "answer_lost"),
        ("*/*", "garbage", "unusable_answer"),
        ("application/json", "garbage", "unusable_answer"),
        ("*/*", "wrong-type", "unusable_answer"),
        ("*/*", "status-502", "gateway_error"),
    ],
)
def test_a_lost_or_damaged_answer_is_uncertain_and_never_silently_paid_again(
    small: Workshop, accept: str, fault: str, code: str
) -> None:
    small.api.fault(**{fault: "1x1"})
    job_id = asked(small, PICTURE, on_uncertain="hold", accept=accept)

    small.work()

    job = small.job(job_id)
    assert (job.state, job.held_for, job.error["code"]) == ("held", "uncertain", code)
    assert small.attempts(job_id)[-1].uncertain_at is not None
    assert (small.sent(), small.charges()) == (1, 0 if fault == "status-502" else 1)


def test_a_call_that_was_refused_without_a_charge_is_tried_again(small: Workshop) -> None:
    small.api.fault(status_503="1x1")
    job_id = asked(small, PICTURE)

    small.work()
    refused = small.job(job_id)
    small.work()

    assert (refused.state, refused.error["code"]) == ("queued", "provider_error")
    assert (small.job(job_id).state, small.charges()) == ("succeeded", 1)


def answering(*answers: Callable[[Caller], None]) -> tuple[Callable[[Caller], None], list[str]]:
    """A script that gives one answer to each caller, and the heads of their requests."""
    left, heads = list(answers), []

    def script(caller: Caller) -> None:
        heads.append(caller.read_request())
        left.pop(0)(caller)

    return script, heads


def test_media_of_a_kind_that_nobody_can_check_is_kept_as_it_came(small: Workshop) -> None:
    script, heads = answering(
        lambda caller: caller.answer(200, b"noise", content_type="audio/mpeg")
    )
    with scripted(script) as server:
        small.r.client = StabilityClient(server.address)
        job_id = asked(small, "/v2beta/audio/next", accept="audio/*")

        small.work()

    (output,) = small.outputs(job_id)
    assert (output.content_type, output.key.rpartition(".")[2]) == ("audio/mpeg", "mp3")
    assert stored(small, job_id) == [b"noise"]
    assert heads[0].startswith("POST /v2beta/audio/next HTTP/1.1\r\n")
    assert "accept: audio/*" in heads[0]


def test_a_result_is_fetched_where_the_caller_says(small: Workshop) -> None:
    ticket = b'{"id": "a/b", "queue": 3}'
    script, heads = answering(
        lambda caller: caller.answer(200, ticket, content_type="application/json"),
        lambda caller: caller.answer(200, ticket[:9] + b"}", content_type="application/json"),
        lambda caller: caller.answer(200, b'{"done": 1}', content_type="application/json"),
    )
    with scripted(script) as server:
        small.r.client = StabilityClient(server.address)
        job_id = asked(small, "/v2beta/next", result_path=ELSEWHERE)

        small.work()
        small.work()
        waiting = small.job(job_id).state
        small.work()

    assert waiting == "polling"
    assert heads[1].startswith("GET /v2beta/next/result/a%2Fb HTTP/1.1\r\n")
    assert stored(small, job_id) == [b'{"done": 1}']


def test_a_paid_result_is_found_at_the_other_address(small: Workshop) -> None:
    script, heads = answering(
        lambda caller: caller.answer(202, b'{"id": "abc"}', content_type="application/json"),
        lambda caller: caller.answer(404, b'{"id": "a", "name": "not_found", "errors": []}'),
        lambda caller: caller.answer(200, b"noise", content_type="audio/mpeg"),
    )
    with scripted(script) as server:
        small.r.client = StabilityClient(server.address)
        job_id = asked(small, "/v2beta/audio/next")

        small.work()
        small.work()
        looked = small.job(job_id)
        small.work()

    assert (looked.state, looked.polled_at) == ("polling", None)
    assert heads[1].startswith("GET /v2beta/results/abc HTTP/1.1")
    assert heads[2].startswith("GET /v2beta/audio/next/result/abc HTTP/1.1")
    assert stored(small, job_id) == [b"noise"]


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/plain", b"a hare"),
        (201, "application/json", b'{"caption": "a hare"}'),
        (200, "image/png", b"noise"),
    ],
)
def test_a_path_whose_answers_cannot_be_used_stops_no_other_job(
    small: Workshop, status: int, kind: str, body: bytes
) -> None:
    # Given as many jobs as may well open the breaker by two calls each,
    answer = partial(Caller.answer, status=status, body=body, content_type=kind)
    script, _ = answering(*[answer] * 2 * OPENS_AT)
    with scripted(script) as server:
        api, small.r.client = small.r.client, StabilityClient(server.address)
        odd = [asked(small, "/v2beta/caption") for _ in range(OPENS_AT)]
        small.work()
        small.work()
        small.r.client = api

    # when another job comes,
    other = small.submit()
    small.work()

    # then only the odd ones are held.
    assert {small.job(job_id).held_for for job_id in odd} == {"uncertain"}
    assert {small.job(job_id).error["code"] for job_id in odd} == {"unusable_answer"}
    assert small.job(other).state == "succeeded"


CLOSED = b'{"id": "a", "name": "unauthorized", "errors": ["This beta is not open to you."]}'


def closed_beta(balance_status: int) -> Callable[[Caller], None]:
    """An API that has one path which refuses the key, and answers so about its balance."""

    def script(caller: Caller) -> None:
        head = caller.read_request()
        if "/v1/user/balance" in head:
            caller.answer(balance_status, b'{"credits": 100}', content_type="application/json")
        elif "/v2beta/closed" in head:
            caller.answer(401, CLOSED, content_type="application/json")
        else:
            caller.answer(200, picture(96, 64), content_type="image/png")

    return script


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, no slot is missed."""
    monkeypatch.setattr(permits, "PUNCTUAL", timedelta(seconds=60))


@pytest.mark.usefixtures("in_time")
def test_a_beta_that_is_closed_to_a_good_key_ends_its_job_and_stops_no_other(
    small: Workshop,
) -> None:
    with scripted(closed_beta(200)) as server:
        small.r.client = StabilityClient(server.address)
        closed, other = asked(small, "/v2beta/closed"), small.submit()

        for _ in range(3):
            small.work()
            assert small.r.keyring.usable()

    job = small.job(closed)
    assert (job.state, job.attempts, job.error["code"]) == ("failed", 3, "bad_key")
    assert job.error["message"] == "This beta is not open to you."
    assert small.job(other).state == "succeeded"


@pytest.mark.usefixtures("in_time")
def test_a_key_that_is_refused_for_its_balance_too_is_stopped(small: Workshop) -> None:
    with scripted(closed_beta(401)) as server:
        small.r.client = StabilityClient(server.address)
        job_id = asked(small, "/v2beta/closed")

        small.work()

    assert (small.job(job_id).state, small.job(job_id).held_for) == ("held", "funds")
    assert not small.r.keyring.usable()


@pytest.mark.usefixtures("in_time")
def test_a_refusal_that_nobody_explains_spends_no_try_and_stops_nobody(small: Workshop) -> None:
    with scripted(closed_beta(503)) as server:
        small.r.client = StabilityClient(server.address)
        job_id = asked(small, "/v2beta/closed")

        small.work()

    assert (small.job(job_id).state, small.job(job_id).refusals) == ("queued", 0)
    assert small.r.keyring.usable()


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize(
    ("stated", "left", "state", "tries"),
    [
        pytest.param(0.5, 1, "failed", 3, id="the price is stated too low"),
        pytest.param(2, 1, "held", 1, id="there is less than that"),
    ],
)
def test_a_402_ends_the_job_only_if_the_key_has_what_it_states(
    small: Workshop, stated: float, left: float, state: str, tries: int
) -> None:
    small.api.post_json("/_sandbox/credits", {"key": small.api.key, "credits": left - CREDITS})
    job_id = asked(small, PICTURE, credits=stated)

    for _ in range(tries):
        small.work()

    job = small.job(job_id)
    assert (job.state, job.attempts, job.error["code"]) == (state, tries, "no_funds")
    assert bool(small.r.keyring.usable()) == (state == "failed")
    assert small.charges() == job.charged_milli == 0


def documented(served: str, accepts: tuple[str, ...], body: bytes) -> Callable[[Caller], None]:
    """An API that has a JSON result at one address, and gives it only as its documents say."""

    def script(caller: Caller) -> None:
        head = caller.read_request()
        if head.startswith("POST"):
            caller.answer(200, b'{"id": "abc"}', content_type="application/json")
        elif not head.startswith(f"GET {served} "):
            caller.answer(404, b'{"id": "a", "name": "not_found", "errors": ["x"]}')
        elif header(head, "accept") not in accepts:
            caller.answer(400, b'{"id": "a", "name": "bad_request", "errors": ["accept: no"]}')
        else:
            caller.answer(200, body, content_type="application/json; type=image/png")

    return script


@pytest.mark.parametrize(
    ("served", "accepts", "params"),
    [
        pytest.param(
            "/v2beta/results/abc",
            ("*/*", "application/json"),
            {"accept": "image/*"},
            id="at the common address, whatever the call asked for",
        ),
        pytest.param(
            "/v2beta/next/result/abc", ("image/*", "application/json"), {}, id="at its own address"
        ),
        pytest.param(
            "/v2beta/results/abc",
            ("*/*", "application/json"),
            {"result_path": "/v2beta/next/reslut/{id}"},
            id="where a mistyped address does not lead",
        ),
    ],
)
def test_a_paid_result_is_fetched_from_whichever_address_has_it(
    small: Workshop, served: str, accepts: tuple[str, ...], params: dict[str, str]
) -> None:
    image = picture(96, 64)
    body = json.dumps({"image": base64.b64encode(image).decode(), "seed": 7}).encode()
    with scripted(documented(served, accepts, body)) as server:
        small.r.client = StabilityClient(server.address)
        job_id = asked(small, "/v2beta/next", **params)

        for _ in range(3):
            small.work()

    assert (small.job(job_id).state, small.job(job_id).seed) == ("succeeded", 7)
    assert stored(small, job_id) == [image]


def test_an_output_that_is_no_picture_is_no_input_and_nothing_is_sent(small: Workshop) -> None:
    words = asked(small, WORDS, body="json")
    enlarge = small.submit("upscale/fast", params={}, inputs={"image": f"job:{words}"})

    small.work()
    wake_waiting_jobs(small.r.database)
    small.work()

    assert small.job(words).state == "succeeded"
    assert (small.job(enlarge).state, small.job(enlarge).attempts) == ("failed", 0)
    assert small.job(enlarge).error["code"] == "input_refused"


def test_an_answer_that_a_lost_worker_left_in_the_spool_is_used_and_not_paid_again(
    small: Workshop,
) -> None:
    # Given a request whose answer was lost, and whose bytes a machine brings back,
    small.api.fault(**{"reset-after-charge": "1x1"})
    job_id = asked(small, PICTURE, on_uncertain="hold")
    small.work()
    attempt = small.attempts(job_id)[-1]
    image = base64.b64encode(picture(96, 64)).decode()
    body = json.dumps({"artifacts": [{"base64": image, "seed": n} for n in (1, 2)]}).encode()
    facts = {"content_type": "application/json"}
    small.r.spool.receive(attempt.id, [body], facts=facts, max_bytes=1 << 20)

    # when they are offered to it,
    taken = sweep_spool(small.r)
    small.work()

    # then it has them.
    assert taken == 1
    assert small.job(job_id).state == "succeeded"
    assert [output.seed for output in small.outputs(job_id)] == [1, 2]
    assert small.charges() == 1
