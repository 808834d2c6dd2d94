"""Whether bytes are the media they claim to be."""

import errno
import io
import struct
import zlib
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from jobs.errors import StorageError
from jobs.media import BadMedia, MediaFacts, inspect
from jobs.stability.sandbox import solid, video
from jobs.stability.sandbox.plan import Plan

PLAN = Plan(media="video", form="mp4", width=64, height=64, look=sha256(b"x").hexdigest(), seed=7)


def picture(form: str, size: tuple[int, int] = (160, 120)) -> bytes:
    target = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(target, form)
    return target.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header announces a size, and whose data is next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 64)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


MP4 = video.draw(PLAN)
GLB = solid.draw(replace(PLAN, media="model", form="glb"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "body"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_whole_picture_is_known_by_its_type_and_sides(path: Path, form: str) -> None:
    path.write_bytes(picture(form))

    found = inspect(path, f"Image/{form}; charset=binary")

    assert found == MediaFacts(f"image/{form.lower()}", 160, 120)


def test_a_whole_video_and_a_whole_model_pass(path: Path) -> None:
    path.write_bytes(MP4)
    assert inspect(path, "video/mp4") == MediaFacts("video/mp4")

    path.write_bytes(GLB)
    assert inspect(path, "model/gltf-binary") == MediaFacts("model/gltf-binary")


WHOLE = {
    "image/png": picture("PNG"),
    "image/jpeg": picture("JPEG"),
    "image/webp": picture("WEBP"),
    "video/mp4": MP4,
    "model/gltf-binary": GLB,
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_a_part_of_it_is_bad(path: Path, kind: str, part: float) -> None:
    whole = WHOLE[kind]
    path.write_bytes(whole[: int(len(whole) * part)])

    with pytest.raises(BadMedia):
        inspect(path, kind)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("body", [b"<html><body>Hello</body></html>", b"{}", bytes(100)])
def test_something_else_is_bad(path: Path, kind: str, body: bytes) -> None:
    path.write_bytes(body)

    with pytest.raises(BadMedia):
        inspect(path, kind)


def test_a_picture_of_another_type_is_bad(path: Path) -> None:
    path.write_bytes(WHOLE["image/jpeg"])

    with pytest.raises(BadMedia, match="announced as image/png, but it is image/jpeg"):
        inspect(path, "image/png")


@pytest.mark.parametrize("announced", ["", "text/html", "application/json", "audio/mpeg"])
def test_an_unknown_type_is_bad(path: Path, announced: str) -> None:
    path.write_bytes(WHOLE["image/png"])

    with pytest.raises(BadMedia):
        inspect(path, announced)


@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_what_this_machine_cannot_read_is_not_called_bad(path: Path, kind: str) -> None:
    # There is no such file.
    with pytest.raises(StorageError):
        inspect(path, kind)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "input/output error")])
def test_a_check_that_this_machine_fails_is_not_the_pictures_fault(
    path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(WHOLE["image/jpeg"])

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(JpegImageFile, "load", fail)

    with pytest.raises(StorageError):
        inspect(path, "image/jpeg")


@pytest.mark.parametrize("size", [(30_000, 30_000), (100_000, 1_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_absurd_size_is_bad(path: Path, size: tuple[int, int]) -> None:
    path.write_bytes(png_that_claims(*size))

    with pytest.raises(BadMedia):
        inspect(path, "image/png")


@pytest.mark.parametrize("size", [(8_000, 6_000), (30_000, 30_000)])
def test_a_picture_that_is_only_too_large_is_measured_where_anything_is_taken(
    path: Path, size: tuple[int, int]
) -> None:
    path.write_bytes(png_that_claims(*size))

    assert inspect(path, "image/png", any_kind=True) == MediaFacts("image/png", *size)


@pytest.mark.parametrize("announced", ["image/png", "image/jpeg"])
def test_a_large_picture_that_is_cut_off_or_another_is_bad_there_too(
    path: Path, announced: str
) -> None:
    whole = png_that_claims(8_000, 6_000)
    path.write_bytes(whole[:-20] if announced == "image/png" else whole)

    with pytest.raises(BadMedia):
        inspect(path, announced, any_kind=True)


def test_a_flipped_bit_in_a_png_is_found(path: Path) -> None:
    body = bytearray(WHOLE["image/png"])
    body[len(body) // 2] ^= 1
    path.write_bytes(body)

    with pytest.raises(BadMedia):
        inspect(path, "image/png")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_whatever_comes_it_is_facts_or_bad_media(
    path: Path, kind: str, data: st.DataObject
) -> None:
    whole = WHOLE[kind]
    at = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=32)))

    with suppress(BadMedia):
        assert inspect(path, kind).content_type == kind


@pytest.mark.parametrize(
    ("announced", "known"),
    [
        ("audio/mpeg", "audio/mpeg"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/html", "application/octet-stream"),
        ("a b/c", "application/octet-stream"),
    ],
)
def test_what_cannot_be_checked_is_taken_where_anything_is(
    tmp_path: Path, announced: str, known: str
) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"anything")

    assert inspect(path, announced, any_kind=True) == MediaFacts(known)
    with pytest.raises(BadMedia):
        inspect(path, announced)


@pytest.mark.parametrize(("announced", "body"), [("image/png", b"no picture"), ("audio/mpeg", b"")])
def test_what_can_be_checked_is_checked_there_too(
    tmp_path: Path, announced: str, body: bytes
) -> None:
    path = tmp_path / "body"
    path.write_bytes(body)

    with pytest.raises(BadMedia):
        inspect(path, announced, any_kind=True)
