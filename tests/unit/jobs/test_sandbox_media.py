"""What the sandbox draws: files that real decoders take."""

import io
import json
import struct
from dataclasses import replace
from hashlib import sha256

import pytest
from PIL import Image

from jobs.stability.sandbox import picture, solid, video
from jobs.stability.sandbox.plan import Plan

LOOK = sha256(b"a quiet lake").hexdigest()
PICTURE = Plan(media="image", form="png", width=192, height=128, look=LOOK, seed=7)


def look_of(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize(
    ("form", "cutout"),
    [("png", False), ("png", True), ("jpeg", False), ("webp", False), ("webp", True)],
)
def test_a_picture_has_the_size_and_format_asked_for(form: str, cutout: bool) -> None:
    image = opened(picture.draw(replace(PICTURE, form=form, cutout=cutout)))

    assert image.format == form.upper()
    assert image.size == (192, 128)


@pytest.mark.parametrize("form", ["png", "webp"])
def test_a_cut_out_is_partly_see_through(form: str) -> None:
    image = opened(picture.draw(replace(PICTURE, form=form, cutout=True)))

    assert image.convert("RGBA").getchannel("A").getextrema() == (0, 255)


def test_pictures_of_different_looks_differ() -> None:
    pictures = {picture.draw(replace(PICTURE, look=look_of(number))) for number in range(50)}

    assert len(pictures) == 50


def test_the_same_plan_is_drawn_alike() -> None:
    picture.pixels.cache_clear()
    first = picture.draw(PICTURE)
    picture.pixels.cache_clear()

    assert picture.draw(PICTURE) == first


def test_a_filtered_picture_shows_almost_nothing() -> None:
    image = opened(picture.draw(replace(PICTURE, filtered=True)))

    brightness = image.convert("L").tobytes()
    assert max(brightness) - min(brightness) < 60


def test_the_compressed_pixels_are_kept_within_bounds() -> None:
    assert picture.pixels.cache_info().maxsize == 64


def test_a_video_holds_a_jpeg_for_each_frame() -> None:
    content = video.draw(replace(PICTURE, media="video", width=96, height=64))

    boxes = boxes_in(content)
    frames = boxes[b"mdat"]
    assert list(boxes) == [b"ftyp", b"mdat", b"moov"]
    assert frames.count(b"\xff\xd8\xff") == video.FRAMES
    assert opened(frames).size == (96, 64)


def test_the_index_of_a_video_points_at_its_frames() -> None:
    content = video.draw(replace(PICTURE, media="video", width=96, height=64))

    start = struct.unpack_from(">I", content, content.index(b"stco") + 12)[0]
    sizes_at = content.index(b"stsz") + 16
    sizes = struct.unpack_from(f">{video.FRAMES}I", content, sizes_at)

    for size in sizes:
        assert opened(content[start : start + size]).size == (96, 64)
        start += size


def test_videos_of_different_looks_differ() -> None:
    plans = [replace(PICTURE, media="video", look=look_of(number)) for number in range(3)]

    assert len({video.draw(plan) for plan in plans}) == 3


def test_a_model_is_a_gltf_whose_lengths_and_bounds_are_true() -> None:
    content = solid.draw(replace(PICTURE, media="model"))

    magic, version, length, json_length, json_kind = struct.unpack_from("<4sIII4s", content)
    scene = json.loads(content[20 : 20 + json_length])
    binary = content[28 + json_length :]
    corners = list(struct.iter_unpack("<3f", binary[: len(binary) // 2]))
    assert (magic, version, json_kind) == (b"glTF", 2, b"JSON")
    assert length == len(content)
    assert scene["buffers"][0]["byteLength"] == len(binary)
    assert scene["accessors"][0]["count"] == len(corners)
    assert scene["accessors"][0]["max"] == [max(axis) for axis in zip(*corners, strict=True)]


def test_models_of_different_looks_differ() -> None:
    plans = [replace(PICTURE, media="model", look=look_of(number)) for number in range(20)]

    assert len({solid.draw(plan) for plan in plans}) == 20


def boxes_in(content: bytes) -> dict[bytes, bytes]:
    """The top-level boxes of an MP4 file."""
    boxes, start = {}, 0
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        boxes[kind] = content[start + 8 : start + length]
        start += length
    return boxes
