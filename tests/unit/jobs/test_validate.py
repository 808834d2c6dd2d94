"""Parameters and their faults, by example; `test_validate_bounds.py` tries all of the catalog."""

import math
from collections.abc import Collection, Mapping
from timeit import repeat
from typing import Any

import pytest

from jobs.catalog.loader import operation
from jobs.catalog.validate import clean
from jobs.errors import Fault

CORE = operation("generate/core")
TEXT_TO_IMAGE = operation("v1/text-to-image")


def places(faults: Collection[Fault]) -> set[tuple[str, str]]:
    return {(fault.field, fault.code) for fault in faults}


def test_a_sound_job_comes_back_as_it_is() -> None:
    params = {"prompt": "a lighthouse", "seed": 7, "aspect_ratio": "16:9"}

    cleaned, faults = clean(CORE, params)

    assert (cleaned, faults) == (params, [])


def test_every_fault_is_found_at_once() -> None:
    params = {"seed": -1, "aspect_ratio": "4:3", "output_format": "gif", "prmopt": "a cat"}

    _, faults = clean(CORE, params)

    assert places(faults) == {
        ("seed", "too_small"),
        ("aspect_ratio", "not_allowed"),
        ("output_format", "not_allowed"),
        ("prmopt", "unknown_parameter"),
        ("prompt", "required"),
    }


def test_a_misspelled_parameter_is_answered_with_the_name_that_was_meant() -> None:
    _, faults = clean(CORE, {"prompt": "a cat", "negative_promt": "a dog"})

    (fault,) = faults
    assert "did you mean negative_prompt" in fault.message


def test_none_counts_as_absent() -> None:
    cleaned, faults = clean(CORE, {"prompt": "a cat", "seed": None, "anything": None})

    assert (cleaned, faults) == ({"prompt": "a cat"}, [])


def test_defaults_are_not_filled_in() -> None:
    cleaned, _ = clean(CORE, {"prompt": "a cat"})

    assert cleaned == {"prompt": "a cat"}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        pytest.param("prompt", 5, "wrong_type", id="a number is no text"),
        pytest.param("prompt", ["a cat"], "wrong_type", id="a list is no text"),
        pytest.param("prompt", "", "too_short", id="an empty prompt"),
        pytest.param("prompt", "a\0b", "unstorable", id="a NUL"),
        pytest.param("prompt", "a\ud800b", "unstorable", id="half a character"),
        pytest.param("seed", "7", "wrong_type", id="text is no number"),
        pytest.param("seed", True, "wrong_type", id="true is not 1"),
        pytest.param("seed", 7.5, "wrong_type", id="a fraction"),
        pytest.param("seed", math.nan, "wrong_type", id="NaN is no whole number"),
        pytest.param("seed", math.inf, "wrong_type", id="nor is infinity"),
        pytest.param("seed", 10**5000, "unstorable", id="5,001 digits"),
        pytest.param("style_preset", 5, "not_allowed", id="a number among texts"),
        pytest.param("style_preset", {}, "not_allowed", id="an object among texts"),
    ],
)
def test_a_bad_value_is_refused(name: str, value: object, code: str) -> None:
    cleaned, faults = clean(CORE, {"prompt": "a cat", name: value})

    assert places(faults) == {(name, code)}
    assert name not in cleaned


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers_are_numbers(value: float) -> None:
    _, faults = clean(operation("control/sketch"), {"prompt": "a", "control_strength": value})

    assert ("control_strength", "unstorable") in places(faults)


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    cleaned, faults = clean(CORE, {"prompt": "a cat", "seed": 7.0})

    assert not faults
    assert repr(cleaned["seed"]) == "7"


@pytest.mark.parametrize("value", ["1024", 1024])
def test_a_choice_of_numbers_is_taken_as_text_and_as_number(value: object) -> None:
    params = {"texture_resolution": value}

    assert clean(operation("3d/stable-fast-3d"), params, files=["image"]) == (params, [])


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("generate/core", {"seed": "7"}, {"seed": 7}),
        ("generate/core", {"seed": " 7 "}, {"seed": 7}),
        ("generate/core", {"seed": "7.0"}, {"seed": 7}),
        ("generate/core", {"seed": "", "style_preset": ""}, {}),
        ("control/style", {"fidelity": "0.25"}, {"fidelity": 0.25}),
        ("control/style", {"fidelity": "1"}, {"fidelity": 1}),
        ("control/style", {"fidelity": "2.5e-1"}, {"fidelity": 0.25}),
        ("v1/text-to-image", {"extras": '{"a": [1]}'}, {"extras": {"a": [1]}}),
        (
            "edit/replace-background-and-relight",
            {"keep_original_background": "TRUE"},
            {"keep_original_background": True},
        ),
    ],
)
def test_text_becomes_the_kind_of_the_parameter(
    name: str, params: dict[str, str], expected: dict[str, Any]
) -> None:
    cleaned, faults = clean(operation(name), params, from_text=True)

    assert cleaned == expected
    assert not {fault.field for fault in faults} & params.keys()


@pytest.mark.parametrize("text", ["seven", "1_000", "nan", "inf", "0x10", "٣", "7.5", "true"])
def test_text_that_is_no_whole_number_is_refused(text: str) -> None:
    _, faults = clean(CORE, {"prompt": "a cat", "seed": text}, from_text=True)

    assert places(faults) == {("seed", "wrong_type")}


@pytest.mark.parametrize("text", ["1", "yes", "on", "wahr"])
def test_text_that_is_neither_true_nor_false_is_refused(text: str) -> None:
    relight = operation("edit/replace-background-and-relight")

    _, faults = clean(relight, {"keep_original_background": text}, from_text=True)

    assert ("keep_original_background", "wrong_type") in places(faults)


def test_a_prompt_stays_text_even_if_it_looks_like_a_number() -> None:
    cleaned, faults = clean(CORE, {"prompt": " 1984 "}, from_text=True)

    assert (cleaned, faults) == ({"prompt": " 1984 "}, [])


@pytest.mark.parametrize(
    ("value", "from_text", "expected"),
    [
        pytest.param("a cat", False, [{"text": "a cat"}], id="plain text"),
        pytest.param("a cat", True, [{"text": "a cat"}], id="a cell"),
        pytest.param("[a] cat", True, [{"text": "[a] cat"}], id="a cell with a bracket"),
        pytest.param('[{"text": "a"}]', True, [{"text": "a"}], id="a cell of JSON"),
        pytest.param(
            [{"text": "a", "weight": "-0.5"}], True, [{"text": "a", "weight": -0.5}], id="a form"
        ),
        pytest.param(
            [{"text": "a", "weight": -0.5}], False, [{"text": "a", "weight": -0.5}], id="a list"
        ),
    ],
)
def test_prompts_are_a_list_or_a_plain_text(
    value: object, from_text: bool, expected: list[object]
) -> None:
    cleaned, faults = clean(TEXT_TO_IMAGE, {"text_prompts": value}, from_text=from_text)

    assert (cleaned, faults) == ({"text_prompts": expected}, [])


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{}],
        ["a cat"],
        [{"text": 5}],
        [{"text": "a", "wieght": 1}],
        [{"text": "a", "weight": None}],
        [{"text": "a", "weight": True}],
        [{"text": "a", "weight": math.nan}],
        [{"text": "a"}, {"text": "b\0"}],
        {"text": "a"},
    ],
)
def test_prompts_that_the_api_could_not_read_are_refused(value: object) -> None:
    _, faults = clean(TEXT_TO_IMAGE, {"text_prompts": value})

    assert {fault.field for fault in faults} == {"text_prompts"}


@pytest.mark.parametrize("engine", ["../../user/balance", "a/b", "..", "a?b", "a b", "a%2fb", ""])
def test_an_engine_cannot_lead_to_another_address(engine: str) -> None:
    _, faults = clean(TEXT_TO_IMAGE, {"text_prompts": "a", "engine_id": engine})

    assert {fault.field for fault in faults} == {"engine_id"}


@pytest.mark.parametrize(
    "extras",
    [[], "a", {"a": math.nan}, {"a": "\0"}, {"\ud800": 1}, {"a": [{"b": math.inf}]}, {"a": {1}}],
)
def test_extras_are_an_object_that_json_can_hold(extras: object) -> None:
    _, faults = clean(TEXT_TO_IMAGE, {"text_prompts": "a", "extras": extras})

    assert {fault.field for fault in faults} == {"extras"}


def test_a_tower_of_lists_is_refused_before_it_falls() -> None:
    tower: list[Any] = []
    for _ in range(100_000):
        tower = [tower]

    _, faults = clean(TEXT_TO_IMAGE, {"text_prompts": tower, "extras": {"a": tower}})

    assert {fault.field for fault in faults} == {"text_prompts", "extras"}


def test_a_required_file_must_be_supplied() -> None:
    fast = operation("upscale/fast")

    assert places(clean(fast, {})[1]) == {("image", "required")}
    assert clean(fast, {}, files={"image"}) == ({}, [])


def test_a_file_does_not_belong_under_params() -> None:
    _, faults = clean(operation("upscale/fast"), {"image": "cat.png"})

    assert places(faults) == {("image", "is_a_file")}


@pytest.mark.parametrize(
    ("name", "code"), [("prompt", "not_a_file"), ("imgae", "unknown_parameter")]
)
def test_a_file_that_the_operation_does_not_take_is_refused(name: str, code: str) -> None:
    _, faults = clean(operation("generate/ultra"), {"prompt": "a"}, files=[name])

    assert places(faults) == {(name, code)}


def test_a_typical_job_is_checked_in_30_microseconds() -> None:
    params: Mapping[str, Any] = {
        "prompt": "a lighthouse on a cliff, " * 10,
        "negative_prompt": "people",
        "seed": 7,
        "aspect_ratio": "16:9",
        "output_format": "webp",
    }

    seconds = min(repeat(lambda: clean(CORE, params), number=200, repeat=20)) / 200

    # A manifest has a million rows.
    assert seconds < 30e-6
