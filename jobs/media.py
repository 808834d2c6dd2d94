"""Whether received bytes are the media they claim to be."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from jobs.catalog.image_header import BadImage, read_header
from jobs.durable import storage_errors
from jobs.errors import DarkroomError, StorageError

#: The API's largest picture: 4x of 1,048,576 pixels; twice that is no picture of its.
MOST_PIXELS = 2 * 16_777_216
#: JPEG is decoded at an eighth of its size: all of the data is read, little is computed.
DRAFT = (8, 8)

#: Kinds of media that are checked.
CHECKED = frozenset({"image/png", "image/jpeg", "image/webp", "video/mp4", "model/gltf-binary"})
#: A content type as a header may hold it.
KIND = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,120}")
#: How media begins, as (kind, place, bytes); what MP4 is the mother of begins with a brand.
BEGINNINGS = (
    ("image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", 0, b"\xff\xd8\xff"),
    ("image/webp", 8, b"WEBP"),
    ("audio/wav", 8, b"WAVE"),
    ("image/avif", 4, b"ftypavif"),
    ("image/avif", 4, b"ftypavis"),
    ("image/heic", 4, b"ftyphei"),
    ("image/heif", 4, b"ftypmif1"),
    ("audio/mp4", 4, b"ftypM4A"),
    ("video/mp4", 4, b"ftypM4V"),
    ("video/mp4", 4, b"ftypiso"),
    ("video/mp4", 4, b"ftypmp4"),
    ("video/mp4", 4, b"ftypavc1"),
    ("model/gltf-binary", 0, b"glTF"),
    ("audio/mpeg", 0, b"ID3"),
    ("audio/mpeg", 0, b"\xff\xfb"),
)


class BadMedia(DarkroomError):
    """These bytes are not the media that was announced."""

    code = "bad_media"


class TooLarge(BadMedia):
    """This picture is larger than any result of the operations that are known."""


@dataclass(frozen=True)
class MediaFacts:
    """What a file is; the sides are None where there are none to know."""

    content_type: str
    width: int | None = None
    height: int | None = None


def kind_of(data: bytes) -> str | None:
    """What these bytes are by their beginning, or None."""
    begins = (kind for kind, at, sign in BEGINNINGS if data[at : at + len(sign)] == sign)
    return next(begins, None)


def inspect(path: Path, announced: str, *, any_kind: bool = False) -> MediaFacts:
    """Check the file against its announced content type.

    With `any_kind` what cannot be checked is taken as it is, unless there is nothing of it, and
    what is too large to be decoded is only measured.
    Raises BadMedia with the reason, and StorageError if this machine keeps it from being checked.
    """
    kind = announced.partition(";")[0].strip().lower()
    try:
        with storage_errors("check the media"):
            if any_kind and kind not in CHECKED:
                return _uninspected(path, kind)
            if kind.startswith("image/"):
                return _inspect_image(path, kind, any_size=any_kind)
            if kind.startswith("video/"):
                return _inspect_mp4(path, kind)
            if kind == "model/gltf-binary":
                return _inspect_glb(path, kind)
    except MemoryError as error:
        raise StorageError("Could not check the media: there is no memory left.") from error
    raise BadMedia(f"{kind or 'no content type'} is not a kind of media that is known here")


def _uninspected(path: Path, kind: str) -> MediaFacts:
    if path.stat().st_size == 0:
        raise BadMedia("it is empty")
    # A browser may run what is a page, or XML, as SVG is.
    is_plain = KIND.fullmatch(kind) and "xml" not in kind and not kind.startswith("text/")
    return MediaFacts(kind if is_plain else "application/octet-stream")


def _inspect_image(path: Path, kind: str, *, any_size: bool) -> MediaFacts:
    try:
        return _decode_image(path, kind)
    except TooLarge:
        if any_size:
            return _measure_image(path, kind)
        raise


def _measure_image(path: Path, kind: str) -> MediaFacts:
    try:
        with path.open("rb") as file:
            form, (width, height) = read_header(file, path.stat().st_size)
    except BadImage as error:
        raise BadMedia(f"announced as {kind}, but it {error}") from error
    if kind != f"image/{form}":
        raise BadMedia(f"announced as {kind}, but it is image/{form}")
    return MediaFacts(kind, width, height)


def _decode_image(path: Path, kind: str) -> MediaFacts:
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            found = Image.MIME[image.format or ""]
            width, height = image.size
            if found != kind:
                raise BadMedia(f"announced as {kind}, but it is {found}")
            if width * height > MOST_PIXELS:
                raise TooLarge(f"{width}x{height} is larger than any result of the API")
            if image.format == "PNG":
                # Every chunk's checksum: as sure as decoding, at a tenth of the cost.
                image.verify()
            else:
                image.draft("RGB", DRAFT)
                image.load()
    except (BadMedia, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge("it is larger than any result of the API") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            # The system's errors have a number, Pillow's own have none.
            raise
        # Pillow raises whatever its decoders meet: any of it means the same here.
        raise BadMedia(f"it does not decode as {kind}: {error}") from error
    return MediaFacts(found, width, height)


def _inspect_mp4(path: Path, kind: str) -> MediaFacts:
    size = path.stat().st_size
    boxes: list[bytes] = []
    with path.open("rb") as file:
        at = 0
        while at < size:
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                raise BadMedia("the video ends in the middle of a box")
            length, name = struct.unpack(">I4s", head[:8])
            if length == 1 and len(head) == 16:
                length = struct.unpack(">Q", head[8:])[0]
            length = length or size - at
            if length < 8 or at + length > size:
                raise BadMedia("the video ends in the middle of a box")
            boxes.append(name)
            at += length
    if boxes[:1] != [b"ftyp"] or b"moov" not in boxes:
        raise BadMedia("announced as a video, but it is no MP4")
    return MediaFacts(kind)


def _inspect_glb(path: Path, kind: str) -> MediaFacts:
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) < 12 or head[:4] != b"glTF":
        raise BadMedia("announced as glTF, but it is not")
    if struct.unpack("<I", head[8:])[0] != path.stat().st_size:
        raise BadMedia("the model's length is not the announced one")
    return MediaFacts(kind)
