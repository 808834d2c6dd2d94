"""Whether a file is the media that its name says."""

import struct
from pathlib import Path

from PIL import Image


def assert_decodes(path: Path) -> None:
    """The file is whole, from its first byte to its last."""
    if path.suffix == ".mp4":
        assert {b"ftyp", b"moov", b"mdat"} <= boxes(path.read_bytes())
    elif path.suffix == ".glb":
        content = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
    else:
        with Image.open(path) as image:
            image.load()


def boxes(content: bytes) -> set[bytes]:
    """The kinds of the boxes of an MP4, which fill it without a gap."""
    kinds, offset = set(), 0
    while offset < len(content):
        size, kind = struct.unpack_from(">I4s", content, offset)
        assert 8 <= size <= len(content) - offset
        kinds.add(kind)
        offset += size
    return kinds
