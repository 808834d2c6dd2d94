"""Pictures: real, decodable, of the right size and format, and pleasant to look at.

A PNG costs next to nothing: its pixels are compressed once for each size and pattern, and only
the palette, a colour gradient, differs from picture to picture.
"""

import colorsys
import io
import struct
import zlib
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from jobs.stability.sandbox.patterns import FIELDS, Field, raster, veil
from jobs.stability.sandbox.plan import Plan

if TYPE_CHECKING:
    from PIL.Image import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: Palette entries below this one are see-through in a cut-out.
CUTOUT_BELOW = 110

#: Two threads that miss the same pixels would otherwise both compress them.
_pixels_lock = Lock()


def draw(plan: Plan) -> bytes:
    """The picture of a plan, encoded."""
    field, palette = field_of(plan), palette_of(plan)
    if plan.form == "png":
        return png(plan, field, palette)
    image = raster(field, plan.width, plan.height)
    return encode(image, palette, form=plan.form, cutout=plan.cutout)


def field_of(plan: Plan) -> Field:
    """The pattern that the plan's look chooses."""
    return veil if plan.filtered else FIELDS[plan.look_bytes[0] % len(FIELDS)]


def palette_of(plan: Plan, turn: float = 0.0) -> bytes:
    """256 colours from dark to light along a short walk around the colour circle."""
    look = plan.look_bytes
    hue = int.from_bytes(look[1:5]) / 2**32 + turn
    span = (0.08 + 0.34 * int.from_bytes(look[5:8]) / 2**24) * (1 if look[8] % 2 else -1)
    saturation = 0.05 if plan.filtered else 0.4 + 0.35 * look[9] / 255
    dark = 0.12 + 0.1 * look[10] / 255
    colours = bytearray()
    for step in range(256):
        level = step / 255
        lightness = dark + (0.93 - dark) * level**1.1
        red, green, blue = colorsys.hls_to_rgb((hue + span * level) % 1, lightness, saturation)
        colours += bytes((round(255 * red), round(255 * green), round(255 * blue)))
    return bytes(colours)


def png(plan: Plan, field: Field, palette: bytes) -> bytes:
    """A palette PNG around pixels that were compressed before."""
    header = struct.pack(">IIBBBBB", plan.width, plan.height, 8, 3, 0, 0, 0)
    parts = [PNG_SIGNATURE, chunk(b"IHDR", header), chunk(b"PLTE", palette)]
    if plan.cutout:
        parts.append(chunk(b"tRNS", transparency()))
    with _pixels_lock:
        parts.append(pixels(field, plan.width, plan.height))
    parts.append(chunk(b"IEND", b""))
    return b"".join(parts)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk: length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# 64 entries hold 64 MB at the most: the largest, 16 megapixels, take about 1 MB.
@lru_cache(maxsize=64)
def pixels(field: Field, width: int, height: int) -> bytes:
    """The IDAT chunk of a pattern. Rows are stored as differences, which are nearly all zero."""
    from PIL import Image, ImageChops

    image = raster(field, width, height)
    above = Image.new("L", image.size)
    above.paste(image, (0, 1))
    rows = ImageChops.subtract_modulo(image, above).tobytes()
    filtered = b"".join(
        b"\x02" + rows[start : start + width] for start in range(0, width * height, width)
    )
    return chunk(b"IDAT", zlib.compress(filtered, 6))


def transparency() -> bytes:
    """How solid each palette entry of a cut-out is, with a soft edge."""
    return bytes(min(max((step - CUTOUT_BELOW) * 12, 0), 255) for step in range(256))


def encode(image: "Image", palette: bytes, *, form: str, cutout: bool = False) -> bytes:
    """The picture by Pillow, for the formats that have no palette; fast rather than small."""
    from PIL import Image

    coloured = Image.frombytes("P", image.size, image.tobytes())
    coloured.putpalette(palette)
    final = coloured.convert("RGB")
    if cutout:
        final.putalpha(image.point(list(transparency())))
    target = io.BytesIO()
    if form == "jpeg":
        final.save(target, "JPEG", quality=82)
    else:
        final.save(target, "WEBP", quality=80, method=0)
    return target.getvalue()
