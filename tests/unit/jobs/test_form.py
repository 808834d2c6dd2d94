"""The request's body: read back by the standard library's own parser."""

import email
import email.policy
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog.loader import operation
from jobs.stability import form
from jobs.stability.form import Body, InputFile, address, build

CORE = operation("generate/core")
IMAGE = operation("upscale/fast")
V1 = operation("v1/text-to-image")
V1_IMAGE = operation("v1/image-to-image")


def read_all(body: Body, size: int = 16 * 1024) -> bytes:
    """What a sender sends; the body is closed then."""
    read = b""
    while chunk := body.read(size):
        read += chunk
    body.close()
    return read


def parts_of(body: Body) -> dict[str, tuple[bytes, str | None, str]]:
    """Name -> content, file name and type, as a server sees them."""
    content = read_all(body)
    assert len(content) == len(body) == body.size
    head = f"content-type: {body.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + content, policy=email.policy.HTTP)
    found = {}
    for part in message.iter_parts():
        name = part["content-disposition"].params["name"]
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found[name] = (payload, part.get_filename(), part.get_content_type())
    return found


def fields_of(body: Body) -> dict[str, str]:
    return {name: content.decode() for name, (content, _, _) in parts_of(body).items()}


def test_parameters_are_fields() -> None:
    body = build(CORE, {"prompt": "ein Hügel, 丘", "aspect_ratio": "16:9"}, seed=7)

    assert fields_of(body) == {"prompt": "ein Hügel, 丘", "aspect_ratio": "16:9", "seed": "7"}


def test_numbers_and_booleans_are_written_as_the_api_reads_them() -> None:
    body = build(CORE, {"a": True, "b": False, "c": 0.5, "d": 12, "e": {"x": [1]}})

    assert fields_of(body) == {"a": "true", "b": "false", "c": "0.5", "d": "12", "e": '{"x": [1]}'}


def test_a_file_is_a_part_with_a_name_and_a_type() -> None:
    image = InputFile(io.BytesIO(b"\r\n--not a boundary--\r\n\0"), "image/webp")

    found = parts_of(build(IMAGE, {}, files={"image": image}))

    assert found == {"image": (b"\r\n--not a boundary--\r\n\0", "image.webp", "image/webp")}


def test_a_form_is_never_empty() -> None:
    assert fields_of(build(IMAGE, {})) == {"none": ""}


def test_a_large_file_waits_on_disk_and_arrives_whole() -> None:
    content = bytes(range(256)) * 8192
    image = InputFile(io.BytesIO(content), "image/png")

    body = build(IMAGE, {}, files={"image": image})

    assert parts_of(body)["image"][0] == content
    assert len(content) > form.IN_MEMORY


def test_v1_takes_json_without_what_stands_in_its_address() -> None:
    body = build(V1, {"engine_id": "some-engine", "text_prompts": "a lake", "steps": 30}, seed=7)

    assert body.content_type == "application/json"
    assert json.loads(read_all(body)) == {
        "text_prompts": [{"text": "a lake"}],
        "steps": 30,
        "seed": 7,
    }


def test_the_prompts_of_v1s_forms_have_numbered_names() -> None:
    prompts = [{"text": "a lake", "weight": 1}, {"text": "fog", "weight": -0.5}]

    found = fields_of(build(V1_IMAGE, {"text_prompts": prompts}))

    assert found == {
        "text_prompts[0][text]": "a lake",
        "text_prompts[0][weight]": "1",
        "text_prompts[1][text]": "fog",
        "text_prompts[1][weight]": "-0.5",
    }


def test_the_address_is_filled_in() -> None:
    assert address(V1, {"engine_id": "some-engine"}) == "/v1/generation/some-engine/text-to-image"
    assert "{" not in address(V1, {})
    assert address(CORE, {"prompt": "x"}) == CORE.path


def test_a_body_is_sent_when_its_reader_has_asked_for_more_than_there_is() -> None:
    body = build(CORE, {"prompt": "x"})
    before = body.is_sent
    body.read(len(body) - 1)
    almost = body.is_sent
    body.read(1)
    whole = body.is_sent

    body.read(1)
    body.close()

    # After the last byte was given away it may still be on its way into the network.
    assert (before, almost, whole, body.is_sent) == (False, False, False, True)
    assert body.sent_at is not None


def test_a_closed_body_forgets_its_bytes() -> None:
    body = build(CORE, {"prompt": "x"})
    body.close()

    with pytest.raises(ValueError, match="closed"):
        body.read(1)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
VALUES: st.SearchStrategy[Any] = TEXTS | st.integers() | st.floats(allow_nan=False) | st.booleans()


@given(prompt=TEXTS, value=VALUES)
def test_every_value_comes_out_as_it_went_in(prompt: str, value: Any) -> None:
    content = read_all(build(CORE, {"prompt": prompt, "value": value}))

    written = ("true" if value else "false") if isinstance(value, bool) else str(value)
    assert f'name="prompt"\r\n\r\n{prompt}\r\n--'.encode() in content
    assert f'name="value"\r\n\r\n{written}\r\n--'.encode() in content


@given(name=TEXTS)
def test_no_name_breaks_out_of_its_line(name: str) -> None:
    content = read_all(build(CORE, {name: "x"}))

    head, _, _ = content.partition(b"\r\n\r\n")
    assert head.count(b"\r\n") == head.count(b"\n") == 1
