"""What each answer of the API means: the design's table, the documents, and anything at all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog.loader import addressed, catalog, operation
from jobs.catalog.operation import Operation
from jobs.errors import JobError
from jobs.stability.reply import (
    LONGEST_MESSAGE,
    Gone,
    KeyStopped,
    Media,
    NotDone,
    Rejected,
    Throttled,
    Ticket,
    Unclear,
    Unpaid,
    is_media,
    read_body,
    read_create,
    read_poll,
)

DOCUMENTS = Path(__file__).parents[4] / "shared" / "stability"
SYNC = operation("generate/core")
ASYNC = operation("image-to-video")
MODEL = operation("3d/stable-fast-3d")
V1 = operation("v1/text-to-image")

OWN = b'{"id": "a", "name": "internal_error", "errors": ["It broke."]}'
OWN_V1 = b'{"id": "a", "name": "server_error", "message": "It broke."}'
PAGE = b"<html><body>502 Bad Gateway</body></html>"
MODERATED = b'{"id": "a", "name": "content_moderation", "errors": ["Flagged."]}'
MODERATED_V1 = b'{"id": "a", "name": "invalid_prompts", "message": "Filtered words."}'

JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}


def told(name: str) -> bytes:
    """An error body of the API."""
    return json.dumps({"id": "a", "name": name, "errors": ["first", "second"]}).encode()


@pytest.mark.parametrize(
    ("entry", "content_type"),
    [
        (SYNC, "image/png"),
        (SYNC, "image/webp"),
        (SYNC, "IMAGE/JPEG; q=1"),
        (MODEL, "model/gltf-binary"),
        (V1, "application/json; charset=utf-8"),
    ],
)
def test_a_result_is_media(entry: Operation, content_type: str) -> None:
    assert read_create(entry, 200, {"content-type": content_type}, b"") == Media()


@pytest.mark.parametrize("status", [200, 202])
def test_an_accepted_asynchronous_call_gives_its_id(status: int) -> None:
    assert read_create(ASYNC, status, JSON, b'{"id": "abc"}') == Ticket("abc")


@pytest.mark.parametrize("said", ["", "a\0b", "\ud800", "a b", "a\n", "é", "a" * 1001, 7, None, {}])
def test_an_id_that_cannot_be_kept_or_asked_for_is_no_result(said: object) -> None:
    reply = read_create(ASYNC, 200, JSON, json.dumps({"id": said}).encode())

    assert isinstance(reply, Unclear)
    assert reply.error.code == "unexpected_answer"
    assert reply.error.message.startswith("The API answered 200 with application/json, which is no")


def test_a_type_that_no_database_can_hold_is_told_without_the_zero() -> None:
    headers = {"content-type": "text/\0plain"}

    reply = read_create(ASYNC, 200, headers, b"")
    assert isinstance(reply, Unclear)
    assert "text/plain" in reply.error.message
    assert read_poll(ASYNC, 200, headers, b"") == NotDone("answered 200 with text/plain")


#: operation, status, body -> kind of reply, code, class, charged
CREATES: list[tuple[Operation, int, bytes, type, str, str, str]] = [
    *(
        (entry, status, told("x"), Rejected, code, "user", "no")
        for entry in (SYNC, ASYNC, V1)
        for status, code in [
            (400, "bad_request"),
            (403, "forbidden"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (413, "too_large"),
            (415, "unsupported_media_type"),
            (422, "unprocessable"),
            (418, "rejected"),
        ]
    ),
    (SYNC, 403, MODERATED, Rejected, "content_moderation", "moderation", "no"),
    (ASYNC, 403, MODERATED, Rejected, "content_moderation", "moderation", "no"),
    (V1, 400, MODERATED_V1, Rejected, "content_moderation", "moderation", "no"),
    (SYNC, 401, told("unauthorized"), KeyStopped, "bad_key", "billing", "no"),
    (V1, 401, PAGE, KeyStopped, "bad_key", "billing", "no"),
    (SYNC, 402, told("payment_required"), KeyStopped, "no_funds", "billing", "no"),
    (ASYNC, 402, b"", KeyStopped, "no_funds", "billing", "no"),
    (SYNC, 429, told("rate_limit_exceeded"), Throttled, "rate_limited", "rate", "no"),
    (V1, 429, PAGE, Throttled, "rate_limited", "rate", "no"),
    (SYNC, 500, OWN, Unpaid, "provider_error", "provider", "no"),
    (ASYNC, 500, OWN, Unpaid, "provider_error", "provider", "no"),
    (V1, 500, OWN_V1, Unpaid, "provider_error", "provider", "no"),
    (SYNC, 503, OWN, Unpaid, "provider_error", "provider", "no"),
    (ASYNC, 503, PAGE, Unpaid, "provider_error", "provider", "no"),
    (SYNC, 500, PAGE, Unclear, "gateway_error", "network", "unknown"),
    (SYNC, 500, b"", Unclear, "gateway_error", "network", "unknown"),
    *(
        (entry, status, body, Unclear, "gateway_error", "network", "unknown")
        for entry in (SYNC, ASYNC, V1)
        for status, body in [(502, PAGE), (504, PAGE), (502, OWN), (520, PAGE), (599, b"")]
    ),
    *(
        (SYNC, status, b"", Rejected, "redirected", "ours", "no")
        for status in (301, 302, 303, 304, 307, 308)
    ),
]


@pytest.mark.parametrize(
    ("entry", "status", "body", "kind", "code", "error_class", "charged"),
    CREATES,
    ids=lambda v: v.name if isinstance(v, Operation) else None,
)
def test_an_answer_without_a_result_says_what_it_costs(
    entry: Operation,
    status: int,
    body: bytes,
    kind: type,
    code: str,
    error_class: str,
    charged: str,
) -> None:
    reply = read_create(entry, status, JSON, body)

    assert type(reply) is kind
    error = error_of(reply)
    assert (error.code, error.error_class, error.charged) == (code, error_class, charged)


@pytest.mark.parametrize("said", ["a\\u0000b", "a\\ud800b"])
def test_what_no_database_can_hold_is_left_out_of_a_message(said: str) -> None:
    body = f'{{"name": "bad_request", "errors": ["{said}"]}}'.encode()

    message = error_of(read_create(SYNC, 400, JSON, body)).message

    assert message in {"ab", "a?b"}


@pytest.mark.parametrize(
    ("entry", "status", "headers", "body"),
    [
        pytest.param(SYNC, 200, HTML, b"<html>", id="a page"),
        pytest.param(SYNC, 200, {}, b"", id="nothing"),
        pytest.param(SYNC, 202, JSON, b'{"id": "abc"}', id="a ticket that nobody asked for"),
        pytest.param(SYNC, 200, JSON, b'{"image": "..."}', id="JSON in place of a picture"),
        pytest.param(SYNC, 204, {}, b"", id="no content"),
        pytest.param(SYNC, 206, {"content-type": "image/png"}, b"", id="a part"),
        pytest.param(MODEL, 200, {"content-type": "image/png"}, b"", id="other media"),
        pytest.param(V1, 200, {"content-type": "image/png"}, b"", id="v1 without JSON"),
        pytest.param(ASYNC, 200, JSON, b"{}", id="no id"),
        pytest.param(ASYNC, 202, JSON, b'{"id": ""}', id="an empty id"),
        pytest.param(ASYNC, 202, JSON, b'{"id": 5}', id="a number for an id"),
        pytest.param(ASYNC, 202, JSON, b'{"id": "ab', id="half an id"),
        pytest.param(ASYNC, 200, {"content-type": "video/mp4"}, b"", id="media in place of an id"),
        pytest.param(SYNC, 101, {}, b"", id="an informational status"),
    ],
)
def test_a_success_that_is_no_result_is_unclear(
    entry: Operation, status: int, headers: dict[str, str], body: bytes
) -> None:
    reply = read_create(entry, status, headers, body)

    assert isinstance(reply, Unclear)
    assert reply.error.charged == "unknown"
    assert reply.error.code == ("unexpected_answer" if status >= 200 else "gateway_error")


def test_the_sentences_of_the_api_are_kept() -> None:
    reply = read_create(SYNC, 400, JSON, told("bad_request"))

    assert error_of(reply).message == "first second"


def test_the_sentence_of_v1_is_kept() -> None:
    reply = read_create(V1, 400, JSON, b'{"name": "bad_request", "message": "No such engine."}')

    assert error_of(reply).message == "No such engine."


@pytest.mark.parametrize("body", [b"", b"[]", b"null", PAGE, b'{"errors": []}', b"\xff"])
def test_an_answer_without_a_sentence_gets_one(body: bytes) -> None:
    assert error_of(read_create(SYNC, 400, JSON, body)).message == "The API answered 400."


def test_an_endless_sentence_is_cut() -> None:
    body = json.dumps({"name": "bad_request", "errors": ["x" * 5000]}).encode()

    assert len(error_of(read_create(SYNC, 400, JSON, body)).message) == LONGEST_MESSAGE


def test_a_very_deep_body_is_no_body() -> None:
    assert read_body(b"[" * 100_000) == {}


@pytest.mark.parametrize(
    ("entry", "content_type"), [(ASYNC, "video/mp4"), (operation("upscale/creative"), "image/png")]
)
def test_a_poll_that_brings_media_is_done(entry: Operation, content_type: str) -> None:
    assert read_poll(entry, 200, {"content-type": content_type}, b"") == Media()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (202, b'{"id": "abc", "status": "in-progress"}', NotDone),
        (404, told("not_found"), Gone),
        (429, told("rate_limit_exceeded"), Throttled),
        (401, told("unauthorized"), KeyStopped),
        *((status, told("x"), NotDone) for status in (301, 308, 400, 402, 403, 418, 422)),
        *((status, body, NotDone) for status in (500, 502, 503, 504) for body in (OWN, PAGE)),
        (200, PAGE, NotDone),
        (204, b"", NotDone),
    ],
)
def test_only_a_404_can_end_the_polling(status: int, body: bytes, kind: type) -> None:
    assert type(read_poll(ASYNC, status, JSON, body)) is kind


def test_what_a_poll_was_told_otherwise_is_noted() -> None:
    assert read_poll(ASYNC, 502, HTML, PAGE) == NotDone("answered 502")
    assert read_poll(ASYNC, 200, HTML, PAGE) == NotDone("answered 200 with text/html")


@pytest.mark.parametrize("status", [404, 429, 401])
def test_what_is_polled_was_paid(status: int) -> None:
    reply = read_poll(ASYNC, status, JSON, told("x"))

    assert isinstance(reply, Gone | Throttled | KeyStopped)
    assert reply.error.charged == "yes"


def documented() -> Iterator[tuple[str, Operation, str, int]]:
    """Each status that the documents name for an operation, and whether a create or a poll."""
    by_address = {("post", entry.path): entry for entry in addressed().values()}
    by_address |= {
        ("get", entry.result_path): entry for entry in addressed().values() if entry.result_path
    }
    for path in sorted(DOCUMENTS.glob("openapi-*.json")):
        for address, methods in json.loads(path.read_text())["paths"].items():
            for method, described in methods.items():
                entry = by_address.get((method, address))
                statuses = described["responses"] if entry else ()
                for status in statuses:
                    assert entry is not None
                    yield f"{path.stem} {method} {address} {status}", entry, method, int(status)


#: What a documented status may come to; a status that is not here has nobody's thought.
CREATE_KINDS: dict[int, tuple[type, ...]] = {
    200: (Media, Ticket),
    202: (Ticket,),
    400: (Rejected,),
    401: (KeyStopped,),
    402: (KeyStopped,),
    403: (Rejected,),
    404: (Rejected,),
    413: (Rejected,),
    422: (Rejected,),
    429: (Throttled,),
    500: (Unpaid,),
}
POLL_KINDS: dict[int, tuple[type, ...]] = {
    200: (Media,),
    202: (NotDone,),
    400: (NotDone,),
    401: (KeyStopped,),
    403: (NotDone,),
    404: (Gone,),
    500: (NotDone,),
}


def test_every_documented_status_is_mapped() -> None:
    if not DOCUMENTS.is_dir():
        pytest.skip("Stability's documents are not here")
    found = list(documented())

    for place, entry, method, status in found:
        kind = {"image": "image/png", "video": "video/mp4", "model": "model/gltf-binary"}
        media = "application/json" if entry.is_v1 else kind[entry.media]
        is_result = status == 200 and (entry.mode == "sync" or method == "get")
        headers = {"content-type": media if is_result else "application/json"}
        body = b'{"id": "abc"}' if status in {200, 202} else OWN
        if method == "post":
            assert isinstance(read_create(entry, status, headers, body), CREATE_KINDS[status]), (
                place
            )
        else:
            assert isinstance(read_poll(entry, status, headers, body), POLL_KINDS[status]), place
    assert {status for _, _, method, status in found if method == "post"} >= {200, 403, 429, 500}
    assert {status for _, _, method, status in found if method == "get"} >= {200, 202, 404}


BODIES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["id", "name", "errors", "message", "x"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
HEADERS = st.dictionaries(
    st.just("content-type"),
    st.sampled_from(["image/png", "video/mp4", "model/gltf-binary", "application/json"])
    | st.text(max_size=20),
)


@given(
    entry=st.sampled_from(sorted(catalog().values(), key=lambda entry: entry.name)),
    status=st.integers(100, 999),
    headers=HEADERS,
    body=BODIES,
)
def test_no_answer_is_too_strange_to_be_judged(
    entry: Operation, status: int, headers: dict[str, str], body: bytes
) -> None:
    created = read_create(entry, status, headers, body)
    polled = read_poll(entry, status, headers, body)

    for error in (getattr(reply, "error", None) for reply in (created, polled)):
        assert error is None or (error.code and error.message)
    # Money: only an answer that says so is free, and only a 200 is a result.
    if isinstance(created, Media):
        assert status == 200
        assert is_media(entry, status, headers["content-type"])
    if 200 <= status < 300 or status > 503:
        assert not isinstance(created, Rejected | Unpaid)
    if isinstance(polled, Gone):
        assert status == 404


def error_of(reply: Any) -> JobError:
    """The error that a reply carries."""
    error: JobError = reply.error
    return error
