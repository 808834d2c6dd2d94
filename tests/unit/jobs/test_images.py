"""Input images: real files of every format, hostile ones, and each bound of the catalog."""

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.catalog.images import MAX_REQUEST_BYTES, image_faults, read_image_facts
from jobs.catalog.loader import catalog, operation
from jobs.catalog.operation import ImageRule, Kind, Operation, Parameter
from jobs.errors import InvalidJob

ULTRA = operation("generate/ultra")


def picture(image_format: str, size: tuple[int, int] = (96, 64), **options: Any) -> bytes:
    """A real picture, drawn and encoded by Pillow."""
    mode = options.pop("mode", "RGB")
    buffer = BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says to be this large, with next to no pixels in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def codes(found: Operation, name: str, data: bytes) -> list[str]:
    return [fault.code for fault in image_faults(found, name, BytesIO(data))]


PICTURES = {
    "png": picture("PNG"),
    "png with alpha": picture("PNG", mode="RGBA"),
    "png palette": picture("PNG", mode="P"),
    "jpeg": picture("JPEG"),
    "jpeg progressive": picture("JPEG", progressive=True),
    "jpeg gray": picture("JPEG", mode="L"),
    "jpeg of a phone": picture("MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))]),
    "webp": picture("WEBP"),
    "webp lossless": picture("WEBP", lossless=True),
    "webp with alpha": picture("WEBP", mode="RGBA", exif=b"Exif\0\0"),
}
EVERY_PICTURE = pytest.mark.parametrize("name", PICTURES)


@EVERY_PICTURE
def test_format_and_size_are_read(name: str) -> None:
    data = PICTURES[name]

    facts = read_image_facts(BytesIO(data))

    assert facts.format == name.split()[0]
    assert facts.content_type == f"image/{facts.format}"
    assert (facts.width, facts.height, facts.bytes) == (96, 64, len(data))


@EVERY_PICTURE
def test_a_sound_picture_has_no_faults(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(PICTURES[name])

    assert image_faults(ULTRA, "image", path) == []
    assert image_faults(ULTRA, "image", str(path)) == []


@pytest.mark.parametrize("image_format", ["WEBP", "PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1, 1), (255, 256), (257, 4097), (16383, 1)])
def test_every_size_is_read_as_pillow_wrote_it(image_format: str, size: tuple[int, int]) -> None:
    facts = read_image_facts(BytesIO(picture(image_format, size)))

    assert (facts.width, facts.height) == size


def test_a_stream_is_read_from_its_start_and_left_where_it_was() -> None:
    stream = BytesIO(PICTURES["png"])
    stream.seek(17)

    assert image_faults(ULTRA, "image", stream) == []

    assert stream.tell() == 17


@EVERY_PICTURE
@given(data=st.data())
def test_a_picture_that_is_cut_off_is_refused(name: str, data: st.DataObject) -> None:
    whole = PICTURES[name]
    # A phone's file goes on with a second picture: the first one must be cut.
    end = whole.find(b"\xff\xd9") + 1 if name.startswith("jpeg") else len(whole) - 1
    kept = data.draw(st.integers(1, end))

    assert codes(ULTRA, "image", whole[:kept]) == ["bad_image"]


@EVERY_PICTURE
@given(data=st.data())
def test_a_damaged_picture_raises_nothing(name: str, data: st.DataObject) -> None:
    damaged = bytearray(PICTURES[name])
    places = st.integers(0, min(len(damaged), 120) - 1) | st.integers(0, len(damaged) - 1)
    for place in data.draw(st.lists(places, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))

    for found in (ULTRA, operation("image-to-video")):
        image_faults(found, "image", BytesIO(damaged))


@given(
    head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8 "]),
    rest=st.binary(max_size=200),
)
def test_any_other_bytes_are_refused(head: bytes, rest: bytes) -> None:
    assert codes(ULTRA, "image", head + rest) == ["bad_image"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(picture("GIF"), "GIF", id="GIF"),
        pytest.param(picture("TIFF"), "TIFF", id="TIFF"),
        pytest.param(picture("BMP"), "BMP", id="BMP"),
        pytest.param(b"%PDF-1.7", "PDF", id="PDF"),
        pytest.param(b"<!doctype html>", "web page", id="HTML"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC", id="HEIC"),
        pytest.param(b"MZ" + bytes(100), "no image", id="a program"),
    ],
)
def test_what_is_no_image_of_the_api_is_named_and_the_way_out_told(data: bytes, word: str) -> None:
    (fault,) = image_faults(ULTRA, "image", BytesIO(data))

    assert fault.code == "bad_image"
    assert word in fault.message
    assert "send a PNG, JPEG or WebP image" in fault.message


def webp_of(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("data", [png_of(2**31 - 1, 2**31 - 1), webp_of(2**24, 2**24)])
@pytest.mark.parametrize(
    "name", ["generate/sd3", "generate/ultra", "image-to-video", "v1/image-to-image"]
)
def test_a_decompression_bomb_is_refused_by_the_size_that_it_declares(
    name: str, data: bytes
) -> None:
    found = operation(name)
    (parameter, *_) = (p for p in found.parameters if p.kind is Kind.FILE)

    assert codes(found, parameter.name, data) == ["too_large"]


def test_a_file_that_no_request_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PICTURES["png"])
    with path.open("ab") as file:
        file.truncate(MAX_REQUEST_BYTES)
    assert image_faults(ULTRA, "image", path) == []

    with path.open("ab") as file:
        file.truncate(MAX_REQUEST_BYTES + 1)

    (fault,) = image_faults(ULTRA, "image", path)
    assert fault.code == "too_large"
    assert "10.0 MiB" in fault.message


@pytest.mark.parametrize("name", ["missing.png", ".", "no\0name"])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, name: str) -> None:
    (fault,) = image_faults(ULTRA, "image", tmp_path / name)

    assert fault.code == "unreadable"


@pytest.mark.parametrize("name", ["prompt", "imgae"])
def test_only_file_parameters_take_files(name: str) -> None:
    (fault,) = image_faults(ULTRA, name, BytesIO(PICTURES["png"]))

    assert (fault.field, fault.code) == (name, "not_a_file")


def test_reading_the_facts_of_no_image_raises_the_fault_of_the_field() -> None:
    with pytest.raises(InvalidJob) as raised:
        read_image_facts(BytesIO(b"MZ"), field="mask")

    (fault,) = raised.value.faults
    assert (fault.field, fault.code) == ("mask", "bad_image")


def test_a_format_that_the_operation_does_not_take_is_refused() -> None:
    data = picture("WEBP", (768, 768))

    (fault,) = image_faults(operation("image-to-video"), "image", BytesIO(data))

    assert fault.code == "bad_format"
    assert "convert it to JPEG or PNG" in fault.message


def edges(rule: ImageRule) -> Iterator[tuple[int, int, bool]]:
    """Sizes at the bounds of a rule and just beyond: (width, height, is it allowed)."""
    if rule.sizes is not None:
        for width, height in rule.sizes:
            yield from [(width, height, True), (width + 1, height, False)]
        return
    least = rule.min_side
    yield least, least, least * least >= rule.min_pixels
    if least > 1:
        yield least - 1, least * 2, False
    if rule.max_side is not None:
        yield rule.max_side, least, rule.max_aspect is None
        yield least, rule.max_side + 1, False
    if rule.max_pixels is not None:
        side = int(rule.max_pixels**0.5)
        yield from [(side, side, True), (side, side + 1, False)]
    if rule.max_aspect is not None:
        longest = int(rule.max_aspect * 100)
        yield from [(longest, 100, True), (100, longest, True), (longest + 1, 100, False)]


EDGES = [
    pytest.param(found, parameter, *edge, id=f"{name}-{parameter.name}-{edge[0]}x{edge[1]}")
    for name, found in catalog().items()
    for parameter in found.parameters
    if parameter.image is not None
    for edge in edges(parameter.image)
]


@pytest.mark.parametrize(("found", "parameter", "width", "height", "allowed"), EDGES)
def test_each_bound_of_each_image_holds(
    found: Operation, parameter: Parameter, width: int, height: int, allowed: bool
) -> None:
    faults = image_faults(found, parameter.name, BytesIO(png_of(width, height)))

    assert (not faults) is allowed
    assert all(f"is {width}x{height}" in fault.message for fault in faults)


def test_every_broken_bound_is_told_at_once() -> None:
    data = png_of(32, 8)

    assert codes(operation("control/style"), "image", data) == [
        "too_small",
        "too_small",
        "bad_aspect",
    ]


def test_many_threads_may_read_at_once() -> None:
    pictures = list(PICTURES.values()) * 20

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda data: codes(ULTRA, "image", data), pictures))

    assert found == [[]] * len(pictures)
