"""The rules that tie parameters together, operation by operation."""

from typing import Any

import pytest

from jobs.catalog.loader import operation
from jobs.catalog.validate import clean

#: Stands for a parameter that is left out.
ABSENT = None
SDXL, SD16 = "stable-diffusion-xl-1024-v1-0", "stable-diffusion-v1-6"


@pytest.mark.parametrize(
    ("engine", "width", "height", "is_sound"),
    [
        (SDXL, 1024, 1024, True),
        (SDXL, 832, 1216, True),
        (SDXL, ABSENT, ABSENT, True),
        (SDXL, 1024, ABSENT, True),
        (SDXL, 512, 512, False),
        (SDXL, 512, ABSENT, False),
        (ABSENT, 512, 512, False),
        (SD16, 320, 1536, True),
        (SD16, 320, ABSENT, True),
        (SD16, 256, 512, False),
        (SD16, 512, 1600, False),
        ("another-engine", 128, 1600, True),
    ],
)
def test_v1_sizes_are_those_of_the_engine(
    engine: str | None, width: int | None, height: int | None, is_sound: bool
) -> None:
    params = {"text_prompts": "a", "engine_id": engine, "width": width, "height": height}

    _, faults = clean(operation("v1/text-to-image"), params)

    assert {fault.code for fault in faults} == (set() if is_sound else {"bad_size"})


@pytest.mark.parametrize(
    ("name", "params", "files", "expected"),
    [
        ("generate/ultra", {}, ["image"], {("strength", "required")}),
        ("generate/ultra", {"strength": 0}, ["image"], set()),
        (
            "generate/sd3",
            {"mode": "image-to-image"},
            [],
            {("image", "required"), ("strength", "required")},
        ),
        ("generate/sd3", {"mode": "image-to-image", "strength": 0.5}, ["image"], set()),
        (
            "generate/sd3",
            {"mode": "image-to-image", "strength": 0.5, "aspect_ratio": "1:1"},
            ["image"],
            {("aspect_ratio", "conflict")},
        ),
        (
            "generate/sd3",
            {"strength": 0.5},
            ["image"],
            {("image", "conflict"), ("strength", "conflict")},
        ),
        ("generate/sd3", {"mode": "sideways"}, ["image"], {("mode", "not_allowed")}),
        (
            "generate/sd3",
            {"model": "sd3-large-turbo", "negative_prompt": "a"},
            [],
            {("negative_prompt", "conflict")},
        ),
        ("generate/sd3", {"model": "sd3.5-large-turbo", "negative_prompt": "a"}, [], set()),
        ("edit/outpaint", {"left": 0, "up": 0}, ["image"], {("left", "required")}),
        ("edit/outpaint", {"down": 1}, ["image"], set()),
        ("edit/erase", {}, ["image"], set()),
        (
            "edit/replace-background-and-relight",
            {},
            ["subject_image"],
            {("background_prompt", "required")},
        ),
        (
            "edit/replace-background-and-relight",
            {},
            ["subject_image", "background_reference"],
            set(),
        ),
        (
            "edit/replace-background-and-relight",
            {"background_prompt": "a", "light_source_strength": 0.5},
            ["subject_image"],
            {("light_reference", "required")},
        ),
        (
            "edit/replace-background-and-relight",
            {
                "background_prompt": "a",
                "light_source_strength": 0,
                "light_source_direction": "left",
            },
            ["subject_image"],
            set(),
        ),
        ("v2alpha/stable-image/inpaint", {"mode": "mask"}, ["image"], set()),
        (
            "v2alpha/stable-image/inpaint",
            {"mode": "search"},
            ["image"],
            {("search_prompt", "required")},
        ),
        (
            "v1/image-to-image",
            {"step_schedule_end": 0.5},
            ["init_image"],
            {("step_schedule_end", "conflict")},
        ),
        (
            "v1/image-to-image/masking",
            {"mask_source": "MASK_IMAGE_BLACK"},
            ["init_image"],
            {("mask_image", "required")},
        ),
        (
            "v1/image-to-image/masking",
            {"mask_source": "INIT_IMAGE_ALPHA"},
            ["init_image"],
            set(),
        ),
        (
            "v1/image-to-image/upscale",
            {"width": 512, "height": 512},
            ["image"],
            {("height", "conflict")},
        ),
        ("v1/image-to-image/upscale", {"steps": 30}, ["image"], {("steps", "conflict")}),
        (
            "v1/image-to-image/upscale",
            {"steps": 30, "engine_id": "stable-diffusion-x4-latent-upscaler"},
            ["image"],
            set(),
        ),
    ],
)
def test_ties_between_parameters_are_kept(
    name: str, params: dict[str, Any], files: list[str], expected: set[tuple[str, str]]
) -> None:
    found = operation(name)
    prompts = {
        p.name: "a" for p in found.parameters if p.required and p.name in ("prompt", "text_prompts")
    }

    _, faults = clean(found, {**prompts, **params}, files=files)

    assert {(fault.field, fault.code) for fault in faults} == expected
