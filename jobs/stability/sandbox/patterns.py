"""The shapes in the pictures: smooth fields of numbers, drawn small and enlarged by Pillow."""

import math
from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: The longer side of the field that is computed point by point.
FIELD_SIDE = 160

#: Width of a soft edge: what is sharper than a point or two of the field shows its points.
EDGE = 0.02

Field = Callable[[float, float], float]


def soft_step(position: float) -> float:
    """Rises smoothly from 0 to 1 while the position does."""
    inside = min(max(position, 0.0), 1.0)
    return inside * inside * (3 - 2 * inside)


def rings(x: float, y: float) -> float:
    """Ripples around a point off the middle."""
    return 0.5 + 0.5 * math.sin(7 * math.hypot(x + 0.35, y - 0.2))


def waves(x: float, y: float) -> float:
    """Long swells under a falling light."""
    return 0.5 + 0.28 * math.sin(5 * y + 1.6 * math.sin(2.1 * x + y)) - 0.22 * y


def plasma(x: float, y: float) -> float:
    """Slow clouds."""
    total = math.sin(3.1 * x + 1) + math.sin(2.3 * y - 2 * x) + math.sin(4 * math.hypot(x, y + 0.6))
    return 0.5 + total / 6


def hills(x: float, y: float) -> float:
    """Ranges of hills, each nearer one darker, with mist in the valleys."""
    light = 0.68 + 0.14 * (y + 1)
    for depth in range(5):
        bend = 1.7 + 0.9 * depth
        crest = -0.45 + 0.3 * depth + 0.16 * math.sin(bend * x + 2.3 * depth)
        crest += 0.05 * math.sin(3.1 * bend * x + depth)
        slope = 0.8 - 0.15 * depth - 0.16 * math.exp(-3.5 * max(y - crest, 0))
        light += (slope - light) * soft_step((y - crest) / EDGE)
    return light


def dunes(x: float, y: float) -> float:
    """Sand, combed by wind."""
    ridge = 2.4 * y + 0.8 * math.sin(1.8 * x + 0.5) + 0.3 * math.sin(4.1 * x)
    climb = ridge - math.floor(ridge)
    fall = soft_step((1 - climb) / (3 * EDGE))
    return 0.15 + 0.7 * math.pow(climb, 1.6) * fall * (0.75 + 0.2 * math.sin(x + y))


def bloom(x: float, y: float) -> float:
    """A flower of light."""
    radius, angle = math.hypot(x, y), math.atan2(y, x)
    petals = 0.62 + 0.18 * math.cos(6 * angle + 2.5 * radius)
    return 1 / (1 + math.exp(6 * (radius - petals))) * (0.7 + 0.3 * math.cos(14 * radius))


def dusk(x: float, y: float) -> float:
    """A low sun over water."""
    sun = math.exp(-7 * ((x - 0.25) ** 2 + (y + 0.1) ** 2))
    if y < 0.25:
        return 0.3 + 0.3 * (y + 1) / 1.25 + 0.4 * sun
    glitter = math.exp(-10 * (x - 0.25) ** 2) * (0.5 + 0.5 * math.sin(38 * (y + 0.04 * x)))
    return 0.12 + 0.3 * (1 - y) + 0.35 * glitter


def veil(x: float, y: float) -> float:
    """Almost nothing: what is left of a filtered picture."""
    return 0.5 + 0.08 * math.sin(x + 1.3 * y)


FIELDS: tuple[Field, ...] = (rings, waves, plasma, hills, dunes, bloom, dusk)


@lru_cache(maxsize=64)
def small_field(field: Field, width: int, height: int) -> bytes:
    """The field's values from 0 to 255 as 32-bit floats; the shorter side spans -1 to 1."""
    unit = min(width, height) / 2
    values = array("f")
    for row in range(height):
        y = (row + 0.5 - height / 2) / unit
        values.extend(
            255 * min(max(field((column + 0.5 - width / 2) / unit, y), 0.0), 1.0)
            for column in range(width)
        )
    return values.tobytes()


def raster(field: Field, width: int, height: int) -> "Image":
    """The field as a picture of brightness, one byte a pixel."""
    from PIL import Image

    scale = FIELD_SIDE / max(width, height)
    small = (max(round(width * scale), 1), max(round(height * scale), 1))
    # Floats are enlarged, not bytes: otherwise the steps of the small field would show.
    image = Image.frombytes("F", small, small_field(field, *small))
    return image.resize((width, height), Image.Resampling.BICUBIC).convert("L")
