"""Every operation of the catalog, once."""

import io
from base64 import b64decode
from collections.abc import Mapping

import pytest
import requests
from PIL import Image

from jobs.catalog.loader import addressed
from jobs.catalog.operation import Kind, Operation, Parameter
from jobs.stability.client import accept_poll
from jobs.stability.sandbox.video import FRAMES
from tests.integration.sandbox.caller import Caller, picture

#: What the ties of an operation ask for beyond its required parameters.
EXTRAS: Mapping[str, Mapping[str, str]] = {
    "edit/outpaint": {"left": "64"},
    "edit/replace-background-and-relight": {"background_prompt": "a beach"},
    "v2alpha/stable-image/inpaint": {"search_prompt": "the boat"},
    "v1/image-to-image/masking": {"mask_source": "INIT_IMAGE_ALPHA"},
}


def value_for(parameter: Parameter) -> str:
    if parameter.place == "path":
        return str(parameter.default)
    return str(parameter.values[0]) if parameter.values else "a quiet lake"


def input_for(parameter: Parameter) -> bytes:
    rule = parameter.image
    return picture(*(rule.sizes[0] if rule and rule.sizes else (256, 192)))


def params_for(operation: Operation) -> dict[str, str]:
    """No more than the operation demands."""
    texts = [p for p in operation.parameters if p.kind is not Kind.FILE]
    needed = {p.name: value_for(p) for p in texts if p.required or p.place == "path"}
    return {**needed, **EXTRAS.get(operation.name, {})}


def call(api: Caller, operation: Operation, params: dict[str, str]) -> requests.Response:
    fields = {p.name: params[p.name] for p in operation.parameters if p.name in params}
    inputs = [p for p in operation.parameters if p.kind is Kind.FILE and p.required]
    path = operation.path.format(engine_id=fields.pop("engine_id", None))
    if operation.body == "json":
        return api.post_json(path, {"text_prompts": [{"text": fields["text_prompts"]}]})
    if "text_prompts" in fields:
        fields["text_prompts[0][text]"] = fields.pop("text_prompts")
    return api.post(path, fields, {p.name: input_for(p) for p in inputs})


def assert_is_media(content: bytes, media: str) -> None:
    if media == "image":
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    elif media == "video":
        assert content[4:8] == b"ftyp"
        assert content.count(b"\xff\xd8\xff") == FRAMES
    else:
        assert content.startswith(b"glTF\x02")


@pytest.mark.parametrize("name", sorted(addressed()))
def test_every_operation_is_served_and_charged(api: Caller, name: str) -> None:
    operation = addressed()[name]
    params = params_for(operation)

    answer = call(api, operation, params)

    assert answer.status_code == 200, answer.text
    if operation.mode == "async":
        assert operation.result_path
        address = operation.result_path
        accept = accept_poll(operation, address)
        answer = api.get(address.format(id=answer.json()["id"]), accept=accept)
    if operation.is_v1:
        content = b64decode(answer.json()["artifacts"][0]["base64"])
    else:
        assert answer.headers["finish-reason"] == "SUCCESS"
        assert int(answer.headers["seed"]) > 0
        content = answer.content
    assert_is_media(content, operation.media)
    charge = api.ledger()["charges"][0]
    assert charge["operation"] == name
    assert charge["credits_milli"] == operation.price_of(params)
