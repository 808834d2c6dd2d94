"""What an answer is to look like, decided when the request is accepted.

A plan is small and can be written down, so that the same result can be drawn again after a
restart, byte for byte.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from jobs.catalog.operation import Operation

Size = tuple[int, int]

#: Stability: core makes about 1.5 megapixels; ultra and sd3 make 1.
CORE_PIXELS = 1_500_000
MEGAPIXEL = 1_048_576
#: Stability: conservative and creative upscale to 4 megapixels, fast to 16 at the most.
FINE_UPSCALE_PIXELS = 4 * MEGAPIXEL
FAST_UPSCALE_PIXELS = 16 * MEGAPIXEL
#: Sides are multiples of this many pixels, as diffusion models make them.
GRID = 64
#: Stability's v1: the side where neither caller nor engine gives one.
V1_SIDE = 512


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides an answer's bytes."""

    media: str
    form: str
    width: int
    height: int
    #: A digest of operation, prompt, seed and inputs, in hexadecimal.
    look: str
    seed: int
    #: Moderation blurred it.
    filtered: bool = False
    #: Its background is see-through.
    cutout: bool = False

    @property
    def look_bytes(self) -> bytes:
        """The digest from which pattern and colours are taken."""
        return bytes.fromhex(self.look)

    @property
    def content_type(self) -> str:
        """The media type of the answer."""
        kinds = {"video": "video/mp4", "model": "model/gltf-binary", "any": "application/json"}
        return kinds.get(self.media, f"image/{self.form}")


def plan_of(
    operation: Operation,
    params: Mapping[str, Any],
    *,
    seed: int,
    prompt: str,
    source: Size | None,
    inputs_sha256: str,
    filtered: bool,
) -> Plan:
    """Plan the answer to an accepted request; `source` is the input picture's size."""
    width, height = canvas(operation, params, source)
    look = "\0".join((operation.name, prompt, str(seed), inputs_sha256))
    return Plan(
        media=operation.media,
        form=str(params.get("output_format", "png")),
        width=width,
        height=height,
        look=sha256(look.encode()).hexdigest(),
        seed=seed,
        filtered=filtered,
        cutout=operation.path.endswith("/remove-background"),
    )


def canvas(operation: Operation, params: Mapping[str, Any], source: Size | None) -> Size:
    """The size of the output; where there is no rule, it is the input's."""
    if operation.output_sizes:
        return sides_of(operation, params)
    rule = CANVAS_RULES.get(operation.path)
    if rule is not None:
        return rule(params, source)
    return source or (1024, 1024)


def by_aspect(pixels: int) -> Callable[[Mapping[str, Any], Size | None], Size]:
    """Make a rule: so many pixels, in the aspect ratio asked for."""

    def rule(params: Mapping[str, Any], source: Size | None) -> Size:
        across, down = str(params.get("aspect_ratio", "1:1")).split(":")
        return with_pixels(int(across) / int(down), pixels)

    return rule


def with_pixels(aspect: float, pixels: int) -> Size:
    """The sides, on the grid, of a picture of so many pixels."""
    return (
        max(round(math.sqrt(pixels * aspect) / GRID), 1) * GRID,
        max(round(math.sqrt(pixels / aspect) / GRID), 1) * GRID,
    )


def sd3(params: Mapping[str, Any], source: Size | None) -> Size:
    """As the input for image-to-image, otherwise by aspect ratio."""
    return source or by_aspect(MEGAPIXEL)(params, source)


def fast_upscale(params: Mapping[str, Any], source: Size | None) -> Size:
    """Four times the input."""
    width, height = source or (256, 256)
    factor = min(4.0, math.sqrt(FAST_UPSCALE_PIXELS / (width * height)))
    return int(width * factor), int(height * factor)


def fine_upscale(params: Mapping[str, Any], source: Size | None) -> Size:
    """The input's shape with 4 megapixels."""
    width, height = source or (1, 1)
    return with_pixels(width / height, FINE_UPSCALE_PIXELS)


def outpaint(params: Mapping[str, Any], source: Size | None) -> Size:
    """The input and its margins."""
    width, height = source or (512, 512)
    margin = {side: int(params.get(side, 0)) for side in ("left", "right", "up", "down")}
    return width + margin["left"] + margin["right"], height + margin["up"] + margin["down"]


def sides_of(operation: Operation, params: Mapping[str, Any]) -> Size:
    """The width and height asked for; where one is missing, the engine's own."""
    engine = params.get("engine_id", operation.output_sizes[0].engine)
    known = {sizes.engine: sizes.default for sizes in operation.output_sizes}
    width, height = known.get(engine, (V1_SIDE, V1_SIDE))
    return int(params.get("width", width)), int(params.get("height", height))


def v1_upscale(params: Mapping[str, Any], source: Size | None) -> Size:
    """Twice the input, or as wide or high as asked for, in the input's shape."""
    width, height = source or (256, 256)
    factor = 2.0
    if "width" in params:
        factor = int(params["width"]) / width
    elif "height" in params:
        factor = int(params["height"]) / height
    return round(width * factor), round(height * factor)


CANVAS_RULES: dict[str, Callable[[Mapping[str, Any], Size | None], Size]] = {
    "/v2beta/stable-image/generate/core": by_aspect(CORE_PIXELS),
    "/v2beta/stable-image/generate/ultra": by_aspect(MEGAPIXEL),
    "/v2beta/stable-image/generate/sd3": sd3,
    "/v2beta/stable-image/control/style": by_aspect(MEGAPIXEL),
    "/v2beta/stable-image/upscale/fast": fast_upscale,
    "/v2beta/stable-image/upscale/conservative": fine_upscale,
    "/v2beta/stable-image/upscale/creative": fine_upscale,
    "/v2alpha/generation/stable-image/upscale": fine_upscale,
    "/v2beta/stable-image/edit/outpaint": outpaint,
    "/v1/generation/{engine_id}/image-to-image/upscale": v1_upscale,
}
