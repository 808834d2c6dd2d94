"""The size and the look of an answer."""

from typing import Any

import pytest

from jobs.catalog.loader import catalog
from jobs.catalog.operation import Operation, Price
from jobs.stability.sandbox.plan import Plan, Size, canvas, plan_of


def make_operation(path: str, name: str = "some/operation") -> Operation:
    return Operation(
        name=name,
        title="Some operation",
        path=path,
        mode="sync",
        media="image",
        price=Price(flat=1_000),
        parameters=(),
    )


def make_plan(**changes: Any) -> Plan:
    facts: dict[str, Any] = {
        "seed": 7,
        "prompt": "a lake",
        "source": None,
        "inputs_sha256": "",
        "filtered": False,
    }
    operation = changes.pop("operation", make_operation("/v2beta/stable-image/generate/core"))
    params = changes.pop("params", {})
    return plan_of(operation, params, **{**facts, **changes})


@pytest.mark.parametrize(
    ("path", "params", "source", "size"),
    [
        ("stable-image/generate/core", {}, None, (1216, 1216)),
        ("stable-image/generate/core", {"aspect_ratio": "16:9"}, None, (1664, 896)),
        ("stable-image/generate/ultra", {}, None, (1024, 1024)),
        ("stable-image/generate/sd3", {"aspect_ratio": "9:16"}, None, (768, 1344)),
        ("stable-image/generate/sd3", {}, (640, 512), (640, 512)),
        ("stable-image/upscale/fast", {}, (200, 100), (800, 400)),
        ("stable-image/upscale/fast", {}, (1536, 682), (6144, 2728)),
        ("stable-image/upscale/conservative", {}, (512, 512), (2048, 2048)),
        ("stable-image/edit/outpaint", {"left": 10, "down": 5}, (100, 90), (110, 95)),
        ("stable-image/edit/erase", {}, (300, 200), (300, 200)),
        ("stable-image/control/sketch", {}, (300, 200), (300, 200)),
    ],
)
def test_the_output_has_the_size_that_the_api_makes(
    path: str, params: dict[str, Any], source: Size | None, size: Size
) -> None:
    assert canvas(make_operation(f"/v2beta/{path}"), params, source) == size


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"width": 640, "height": 1536}, (640, 1536)),
        ({}, (1024, 1024)),
        ({"engine_id": "stable-diffusion-v1-6", "width": 320}, (320, 512)),
    ],
    ids=["both", "the engine's own", "one of them"],
)
def test_the_old_api_draws_the_width_and_height_asked_for(
    params: dict[str, Any], size: Size
) -> None:
    assert canvas(catalog()["v1/text-to-image"], params, None) == size


def test_the_old_upscaler_keeps_the_shape() -> None:
    operation = catalog()["v1/image-to-image/upscale"]

    assert canvas(operation, {"width": 1024}, (512, 256)) == (1024, 512)
    assert canvas(operation, {}, (512, 256)) == (1024, 512)


def test_the_same_request_is_planned_alike() -> None:
    assert make_plan() == make_plan()


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a hill"},
        {"seed": 8},
        {"inputs_sha256": "ff"},
        {"operation": make_operation("/v2beta/stable-image/generate/core", "another")},
    ],
    ids=["prompt", "seed", "input", "operation"],
)
def test_another_request_looks_different(change: dict[str, Any]) -> None:
    assert make_plan(**change).look != make_plan().look
