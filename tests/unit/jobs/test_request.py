"""`request`, any other address of the API: what it takes, and what is sent of it."""

import json
from contextlib import closing
from io import BytesIO
from typing import Any

import pytest

from jobs.catalog.loader import addressed, catalog, operation
from jobs.catalog.validate import clean
from jobs.queue.intake import priced
from jobs.stability.client import accept_create, accept_poll
from jobs.stability.form import InputFile, address, build
from jobs.stability.reply import Elsewhere, Media, NotDone, Rejected, Ticket, Unclear
from jobs.stability.reply import read_create as judge
from jobs.stability.reply import read_poll as judge_poll
from jobs.stability.sandbox.made_up import made_up
from jobs.stability.sandbox.options import parser

REQUEST = operation("request")
NEXT = {"path": "/v2beta/stable-image/generate/next", "credits": 2}
JSON = {"content-type": "application/json"}


def faults_of(params: dict[str, Any], files: tuple[str, ...] = ()) -> dict[str, str]:
    """What is wrong, by field."""
    _, faults = clean(REQUEST, params, files=files)
    return {fault.field: fault.message for fault in faults}


def test_a_path_a_price_and_fields_are_enough() -> None:
    params = {**NEXT, "fields": {"prompt": "a hare", "steps": 20, "tiling": True}}

    assert clean(REQUEST, params) == (params, [])


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("https://api.stability.ai/v2beta/a", "without a host"),
        ("//elsewhere.example/v2beta/a", "without a host"),
        ("/v2beta/a?dry=1", "must not have a query"),
        ("/v2beta/a#b", "must not have a query"),
        ("/v2beta/../v1/user/balance", "must be a path of the API"),
        ("/v2beta/a/./b", "must be a path of the API"),
        ("/v2beta/a%2e%2e/b", "must be a path of the API"),
        ("/v2beta//a", "must be a path of the API"),
        ("/v2beta/a/", "must be a path of the API"),
        ("/v2beta/{id}", "must be a path of the API"),
        ("/v2beta/a\r\nhost: b", "must be a path of the API"),
        ("/v2beta/a b", "must be a path of the API"),
        ("/v2beta", "must be a path of the API"),
        ("/healthz/a", "must be a path of the API"),
        ("v2beta/a", "must be a path of the API"),
        ("", "must be a path of the API"),
        ("/v2beta/é", "must be a path of the API"),
        ("/v2beta/a\0", "NUL"),
        ("/v2beta/" + "a" * 200, "at most 200 characters"),
        (7, "must be text"),
        ("/v2beta/results/abc", "is no paid call"),
        ("/v2beta/image-to-video/result/abc", "is no paid call"),
        ("/v1/user/balance", "is no paid call"),
        ("/v1/User/account", "is no paid call"),
        ("/v1/engines/list", "is no paid call"),
        ("/v2beta/stable-image/generate/core", "is the operation generate/core"),
        ("/v2beta/Stable-Image/Generate/CORE", "is the operation generate/core"),
        ("/v1/generation/any-engine/text-to-image", "is the operation v1/text-to-image"),
    ],
)
def test_a_path_that_is_not_to_be_called_is_refused_with_the_reason(
    path: Any, complaint: str
) -> None:
    faults = faults_of({**NEXT, "path": path})

    assert faults.keys() == {"path"}
    assert complaint in faults["path"]


@pytest.mark.parametrize("path", ["/v1/generation/e/inpaint", "/v3alpha/a", "/v2beta/a/b-c_d.e~f"])
def test_a_path_that_the_api_may_have_one_day_is_taken(path: str) -> None:
    assert not faults_of({**NEXT, "path": path})


def test_every_address_of_the_catalog_leads_to_its_operation() -> None:
    for name, found in addressed().items():
        path = found.path.replace("{engine_id}", "e")

        assert f"is the operation {name}:" in faults_of({**NEXT, "path": path})["path"]


def test_the_sandbox_has_addresses_to_try_it_with_and_names_them_in_its_help() -> None:
    help_text = parser().format_help()

    for found in made_up().values():
        assert not faults_of({**NEXT, "path": found.path})
        assert found.path in help_text
        assert found.name not in catalog()


@pytest.mark.parametrize(
    ("params", "files", "field", "complaint"),
    [
        ({"credits": None}, (), "credits", "is required: say what one success will cost"),
        ({"credits": -1}, (), "credits", "at least 0"),
        ({"credits": "2"}, (), "credits", "must be a number"),
        ({"prompt": "a"}, (), "prompt", "is given as fields.NAME"),
        ({"credit": 2}, (), "credit", "did you mean credits"),
        ({"fields": ["a"]}, (), "fields", "must be an object"),
        ({"fields": {"": 1}}, (), "fields", "must have a name for each"),
        ({"fields": {"a\nb": 1}}, (), "fields", "must have a name for each"),
        ({"fields.a": [1]}, (), "fields.a", "must be text, a number, true or false"),
        ({"fields.a": float("nan")}, (), "fields.a", "finite"),
        ({"fields.": "a"}, (), "fields.", "is not a parameter"),
        ({"body": "xml"}, (), "body", "must be one of multipart, json"),
        ({"accept": "image/*\r\nhost: a"}, (), "accept", "must match"),
        ({"result_path": "/v2beta/a/result"}, (), "result_path", "must match"),
        ({"result_path": "https://a/{id}"}, (), "result_path", "must match"),
        ({"image": "a.png"}, (), "image", "is a file; give it under inputs"),
        ({}, ("a b",), "a b", "is not a parameter"),
        ({}, ("path",), "path", "is not a file"),
        ({"body": "json"}, ("style",), "style", "a file cannot be sent in a JSON body"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(
    params: dict[str, Any], files: tuple[str, ...], field: str, complaint: str
) -> None:
    faults = faults_of({**NEXT, **params}, files)

    assert complaint in faults[field]


def test_fields_of_a_command_line_are_what_they_look_like_if_a_form_would_spell_them_so() -> None:
    texts = {
        "path": NEXT["path"],
        "credits": "2.5",
        "fields": '{"title": "1984", "left": null}',
        "fields.steps": "20",
        "fields.scale": "0.5",
        "fields.tiling": "true",
        "fields.code": "007",
        "fields.size": "1.50",
        "fields.prompt": "a hare",
        "fields.empty": "",
    }

    cleaned, faults = clean(REQUEST, texts, from_text=True)

    assert not faults
    assert cleaned["credits"] == 2.5
    assert cleaned["fields"] == {
        "title": "1984",
        "steps": 20,
        "scale": 0.5,
        "tiling": True,
        "code": "007",
        "size": "1.50",
        "prompt": "a hare",
    }


def test_only_the_fields_and_files_are_sent() -> None:
    params = {**NEXT, "accept": "image/*", "fields": {"prompt": "a hare", "tiling": True}}
    file = InputFile(BytesIO(b"PICTURE"), "image/png")

    with closing(build(REQUEST.called_with(params), params, files={"style": file})) as body:
        content = body.read()

    assert address(REQUEST, params) == NEXT["path"]
    assert content.count(b"Content-Disposition") == 3
    assert b'name="prompt"\r\n\r\na hare\r\n' in content
    assert b'name="tiling"\r\n\r\ntrue\r\n' in content
    assert b'name="style"; filename="style.png"' in content


def test_a_json_body_keeps_kinds_and_depth() -> None:
    fields = {"text_prompts": [{"text": "a", "weight": 0.5}], "samples": 2, "title": "1984"}
    params = {**NEXT, "body": "json", "fields": fields}

    with closing(build(REQUEST.called_with(params), params)) as body:
        content = body.read()

    assert body.content_type == "application/json"
    assert json.loads(content) == fields


def test_the_caller_says_what_the_answer_is_to_be() -> None:
    plain, told = REQUEST.called_with(NEXT), REQUEST.called_with({**NEXT, "accept": "audio/*"})

    assert accept_create(plain) == "*/*"
    assert accept_create(told) == "audio/*"


@pytest.mark.parametrize(
    ("name", "accepts"),
    [
        ("request", ["*/*", "application/json"]),
        ("image-to-video", ["video/*"]),
        ("upscale/creative", ["*/*"]),
        ("v2alpha/stable-image/upscale", ["image/*"]),
    ],
)
def test_a_poll_asks_for_what_its_address_takes(name: str, accepts: list[str]) -> None:
    polled = operation(name).called_with({**NEXT, "accept": "audio/*"})

    assert [
        accept_poll(polled, polled.result_address(polls)) for polls in range(len(accepts))
    ] == accepts


@pytest.mark.parametrize(
    ("stated", "milli"), [(2, 2000), (0.5, 500), (0.0001, 1), (0, 0), (1.001, 1001)]
)
def test_the_stated_price_is_the_estimate_and_never_rounded_down(stated: float, milli: int) -> None:
    assert REQUEST.price_of({**NEXT, "credits": stated}) == milli


@pytest.mark.parametrize(
    ("fields", "seed"),
    [
        ({}, None),
        ({"seed": 7}, 7),
        ({"seed": 0}, None),
        ({"seed": "7"}, None),
        ({"seed": True}, None),
    ],
)
def test_a_seed_is_known_if_the_fields_have_one_and_is_never_made_up(
    fields: dict[str, Any], seed: int | None
) -> None:
    assert priced("request", {**NEXT, "fields": fields})["seed"] == seed


TICKET = b'{"id": "abc"}'
MORE = b'{"id": "abc", "caption": "a hare"}'
TOLD = {**NEXT, "result_path": "/v2beta/a/result/{id}"}


@pytest.mark.parametrize(
    ("params", "status", "headers", "body", "kind"),
    [
        (NEXT, 200, {"content-type": "image/png"}, b"", Media),
        (NEXT, 200, {"content-type": "audio/mpeg"}, b"", Media),
        (NEXT, 200, JSON, TICKET, Ticket),
        (NEXT, 202, JSON, TICKET, Ticket),
        (NEXT, 200, JSON, b'{"id": "abc", "status": "in-progress"}', Ticket),
        (NEXT, 202, JSON, MORE, Ticket),
        (NEXT, 200, JSON, MORE, Media),
        (TOLD, 200, JSON, MORE, Ticket),
        (NEXT, 200, JSON, b'{"image": "', Media),
        (NEXT, 200, JSON, b"[]", Media),
        (NEXT, 202, JSON, b"{}", Unclear),
        (NEXT, 200, {"content-type": "text/html"}, b"<html>", Unclear),
        (NEXT, 200, {}, b"", Unclear),
        (NEXT, 204, {}, b"", Unclear),
        (NEXT, 404, JSON, b"{}", Rejected),
    ],
)
def test_an_answer_shows_whether_it_is_the_result(
    params: dict[str, Any], status: int, headers: dict[str, str], body: bytes, kind: type
) -> None:
    assert type(judge(REQUEST.called_with(params), status, headers, body)) is kind


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (202, JSON, TICKET, NotDone),
        (200, JSON, b'{"id": "abc", "status": "in-progress"}', NotDone),
        (200, JSON, b'{"id": "abc", "result": "QUJD"}', Media),
        (200, {"content-type": "video/mp4"}, b"", Media),
        (200, {"content-type": "text/html"}, b"<html>", NotDone),
        (404, JSON, b"{}", Elsewhere),
        (401, JSON, b"{}", NotDone),
    ],
)
def test_a_poll_shows_whether_the_result_is_there(
    status: int, headers: dict[str, str], body: bytes, kind: type
) -> None:
    assert type(judge_poll(REQUEST.called_with(NEXT), status, headers, body)) is kind


def test_a_404_is_no_end_even_where_the_caller_said_that_results_are_fetched() -> None:
    assert type(judge_poll(REQUEST.called_with(TOLD), 404, JSON, b"{}")) is Elsewhere


COMMON, MADE = "/v2beta/results/{id}", f"{NEXT['path']}/result/{{id}}"


@pytest.mark.parametrize(
    ("told", "addresses"),
    [
        (None, [COMMON, MADE, COMMON]),
        (COMMON, [COMMON, MADE, COMMON]),
        (TOLD["result_path"], [TOLD["result_path"], COMMON, TOLD["result_path"]]),
    ],
)
def test_results_are_looked_for_in_turn(told: str | None, addresses: list[str]) -> None:
    params = NEXT if told is None else {**NEXT, "result_path": told}

    polled = REQUEST.called_with(params)

    assert [polled.result_address(polls) for polls in range(3)] == addresses
