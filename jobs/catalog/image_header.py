"""The first bytes of an image -> its format and size; nothing is ever decoded.

Pillow's readers of PNG and JPEG are called directly: `Image.open` turns phones' JPEGs into MPO
and answers large sizes with a process-wide warning. Its reader of WebP allocates the whole canvas
to begin with, so WebP's size is read here.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO, Literal

from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

Format = Literal["jpeg", "png", "webp"]
Size = tuple[int, int]

#: An animation may have thousands of frames, and the API takes none.
ANIMATED = "is animated; send one frame"
#: In the flags of WebP's extended header.
WEBP_ANIMATION = 0x02

#: WebP's header, up to the size in each of its three variants.
HEAD_BYTES = 30

#: What people send instead, by how it begins (a file's brand stands behind its length).
_OTHERS = (
    (0, b"GIF8", "a GIF"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"BM", "a BMP"),
    (0, b"%PDF", "a PDF"),
    (0, b"<", "a text, maybe a web page or an SVG"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftypmif1", "a HEIC"),
)

#: What Pillow raises on hostile headers.
_PILLOW_SAYS_NO = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


class BadImage(Exception):
    """The bytes are no image that the API takes; the message says why."""


def read_header(stream: BinaryIO, size_bytes: int) -> tuple[Format, Size]:
    """Format and (width, height); raises BadImage, also for one that is cut off."""
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    image_format = _format_of(head)
    try:
        return image_format, _READERS[image_format](stream, size_bytes)
    except _PILLOW_SAYS_NO as error:
        raise BadImage(f"is a damaged or cut off {image_format.upper()} image") from error


def _format_of(head: bytes) -> Format:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    found = next((name for at, magic, name in _OTHERS if head[at:].startswith(magic)), None)
    raise BadImage(f"is {found}" if found else "is no image that is known here")


def _png_size(stream: BinaryIO, _size_bytes: int) -> Size:
    image = PngImageFile(stream)
    if getattr(image, "is_animated", False):
        raise BadImage(ANIMATED)
    # Reads every chunk and its checksum, and decompresses nothing; the last checksum it leaves.
    image.verify()
    if len(stream.read(4)) < 4:
        raise EOFError
    return image.size


def _jpeg_size(stream: BinaryIO, _size_bytes: int) -> Size:
    # Pillow stops where the picture's data begin; inside them no other marker looks like the end.
    size = JpegImageFile(stream).size
    if b"\xff\xd9" not in stream.read():
        raise EOFError
    return size


def _webp_size(stream: BinaryIO, size_bytes: int) -> Size:
    head = stream.read(HEAD_BYTES)
    (announced,) = struct.unpack_from("<I", head, 4)
    if announced + 8 > size_bytes:
        raise EOFError
    variant = head[12:16]
    if variant == b"VP8X":
        if head[20] & WEBP_ANIMATION:
            raise BadImage(ANIMATED)
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if variant == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if variant == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError


_READERS: dict[Format, Callable[[BinaryIO, int], Size]] = {
    "png": _png_size,
    "jpeg": _jpeg_size,
    "webp": _webp_size,
}
