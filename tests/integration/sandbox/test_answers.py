"""The form of answers, and moderation."""

from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256

import requests

from tests.integration.sandbox.caller import CORE, DEADLINE_SECONDS, Caller, picture


def test_a_caller_without_a_key_is_told_so_in_the_form_of_each_version(api: Caller) -> None:
    new = requests.post(api.address + CORE, timeout=DEADLINE_SECONDS)
    old = requests.get(api.address + "/v1/user/balance", timeout=DEADLINE_SECONDS)

    assert (new.status_code, new.json()["name"]) == (401, "unauthorized")
    assert new.json()["errors"]
    assert (old.status_code, old.json()["name"]) == (401, "unauthorized")
    assert old.json()["message"]


def test_only_the_listed_keys_are_valid(start: Callable[..., Caller]) -> None:
    api = start("--key", "good", "--key", "better")

    assert api.with_key("good").core().status_code == 200
    assert api.with_key("bad").core().status_code == 401


def test_the_faults_of_a_request_are_told_and_cost_nothing(api: Caller) -> None:
    answer = api.post(CORE, {"aspect_ratio": "7:1"})

    assert (answer.status_code, answer.json()["name"]) == (400, "bad_request")
    assert {error.split(":")[0] for error in answer.json()["errors"]} == {"prompt", "aspect_ratio"}
    assert api.ledger()["charges"] == []


def test_an_input_that_is_too_small_or_no_picture_is_refused(api: Caller) -> None:
    path = "/v2beta/stable-image/upscale/fast"

    answers = [api.post(path, {}, {"image": content}) for content in (picture(8, 8), b"text")]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all(answer.json()["errors"][0].startswith("image: ") for answer in answers)


def test_a_request_beyond_ten_mebibytes_is_too_large(api: Caller) -> None:
    answer = api.post(CORE, {"prompt": "x" * (10 * 1024 * 1024 + 1)})

    assert (answer.status_code, answer.json()["name"]) == (413, "payload_too_large")


def test_json_holds_the_same_picture_as_the_bytes(api: Caller) -> None:
    params = {"prompt": "a quiet lake", "seed": "7"}

    as_bytes = api.post(CORE, params, accept="image/*")
    as_json = api.post(CORE, params, accept="application/json")

    assert as_bytes.headers["content-type"] == "image/png"
    assert as_json.headers["content-type"] == "application/json; type=image/png"
    assert b64decode(as_json.json()["image"]) == as_bytes.content
    assert as_json.json()["seed"] == 7


def test_an_answer_that_the_operation_does_not_make_is_refused(api: Caller) -> None:
    assert api.core(accept="video/*").status_code == 400


def test_the_old_api_draws_each_sample_with_a_seed_of_its_own(api: Caller) -> None:
    body = {"text_prompts": [{"text": "a lake"}], "samples": 3, "width": 1024, "height": 1024}

    engine = "stable-diffusion-xl-1024-v1-0"
    answer = api.post_json(f"/v1/generation/{engine}/text-to-image", body)

    artifacts = answer.json()["artifacts"]
    assert len({artifact["seed"] for artifact in artifacts}) == 3
    assert len({artifact["base64"] for artifact in artifacts}) == 3


def test_the_old_api_reads_weighted_prompts_from_a_form(api: Caller) -> None:
    fields = {"text_prompts[0][text]": "a lake", "text_prompts[1][text]": "fog"}
    fields["text_prompts[1][weight]"] = "-0.5"

    path = "/v1/generation/stable-diffusion-xl-1024-v1-0/image-to-image"
    answer = api.post(path, fields, {"init_image": picture(1024, 1024)})

    assert answer.status_code == 200, answer.text
    prompt = sha256(b"a lake\nfog").hexdigest()
    assert [charge["prompt_sha256"] for charge in api.ledger()["charges"]] == [prompt]


def test_an_unknown_engine_is_not_found(api: Caller) -> None:
    body = {"text_prompts": [{"text": "a lake"}]}

    answer = api.post_json("/v1/generation/no-such-engine/text-to-image", body)

    assert (answer.status_code, answer.json()["name"]) == (404, "not_found")


def test_an_unknown_address_is_not_found(api: Caller) -> None:
    assert api.get("/v2beta/no-such-address").json()["name"] == "not_found"


def test_balance_account_and_engines_are_told(api: Caller) -> None:
    api.core()

    assert api.get("/v1/user/balance").json() == {"credits": 9_997.0}
    assert api.get("/v1/user/account").json()["organizations"][0]["is_default"]
    engines = {engine["id"] for engine in api.get("/v1/engines/list").json()}
    assert "stable-diffusion-xl-1024-v1-0" in engines


def test_a_refused_prompt_costs_nothing(api: Caller) -> None:
    answer = api.core("a lake, nsfw-refused")

    assert (answer.status_code, answer.json()["name"]) == (403, "content_moderation")
    assert api.ledger()["charges"] == []


def test_a_blurred_picture_is_charged(api: Caller) -> None:
    answer = api.core("a lake, nsfw-blurred")

    assert answer.status_code == 200
    assert answer.headers["finish-reason"] == "CONTENT_FILTERED"
    assert len(api.ledger()["charges"]) == 1


def test_the_old_api_moderates_in_its_own_form(api: Caller) -> None:
    path = "/v1/generation/stable-diffusion-v1-6/text-to-image"

    refused = api.post_json(path, {"text_prompts": [{"text": "nsfw-refused"}]})
    blurred = api.post_json(path, {"text_prompts": [{"text": "nsfw-blurred"}]})

    assert (refused.status_code, refused.json()["name"]) == (400, "invalid_prompts")
    assert blurred.json()["artifacts"][0]["finishReason"] == "CONTENT_FILTERED"
