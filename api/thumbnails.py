"""Small copies of pictures, made when they are looked at."""

from io import BytesIO
from typing import Any

from anyio import CapacityLimiter, to_thread
from PIL import Image
from sqlalchemy import Row

from jobs.errors import NotFound
from jobs.storage.protocol import Storage

#: The longer side, in pixels: sharp at half of it on a dense screen.
SIDE = 384
QUALITY = 75
CONTENT_TYPE = "image/webp"
#: What the API makes. Pillow knows others, some of which it hands to programs of this machine.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
#: What is larger is not taken into memory: ten times what the API has ever sent.
MOST_BYTES = 64 * 1024 * 1024
MOST_PIXELS = 50_000_000
#: Pictures that are made smaller at once: it takes a core each, and a hundred megabytes.
AT_ONCE = 2


class Thumbnails:
    """Makes them, a few at a time in threads of their own; lives on one event loop."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._places = CapacityLimiter(AT_ONCE)

    async def of(self, output: Row[Any]) -> bytes:
        """A small WebP; raises NotFound for what is no picture, or too large for one."""
        if not output.content_type.startswith("image/") or output.bytes > MOST_BYTES:
            raise NotFound(f"there is no thumbnail of {output.content_type}; ask for the output")
        return await to_thread.run_sync(self._make, output.key, limiter=self._places)

    def _make(self, key: str) -> bytes:
        with self._storage.open(key) as stream:
            content = stream.read()
        return shrunk(content)


def shrunk(content: bytes) -> bytes:
    """The picture with sides of `SIDE` at the most; raises NotFound for what cannot be read."""
    written = BytesIO()
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise NotFound("the picture is too large for a thumbnail; ask for the output")
            # JPEG can be decoded at a fraction of its size.
            image.draft("RGB", (SIDE, SIDE))
            small = image if image.mode in {"RGB", "RGBA"} else image.convert("RGBA")
            small.thumbnail((SIDE, SIDE))
            small.save(written, "WEBP", quality=QUALITY, method=2)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NotFound("the picture cannot be read; ask for the output") from error
    return written.getvalue()
