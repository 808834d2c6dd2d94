"""Input images: what they are, and what the API would refuse about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import SEEK_END, PathLike
from pathlib import Path
from typing import BinaryIO

from jobs.catalog.image_header import BadImage, Format, read_header
from jobs.catalog.operation import ImageRule, Operation
from jobs.errors import Fault, InvalidJob

#: Stability: a request is at most 10 MiB, and answers 413 beyond (documents, `generate/sd3`).
MAX_REQUEST_BYTES = 10 * 1024 * 1024
#: The largest image that any operation takes: `generate/ultra`, 16,384 pixels a side. Beyond it
#: a file is a decompression bomb or a mistake, also where no rule bounds its size.
MAX_PIXELS = 16_384 * 16_384

_MIB = 1024 * 1024
_MEND = "send a PNG, JPEG or WebP image"

Source = str | PathLike[str] | BinaryIO


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What an image is, from its header."""

    format: Format
    width: int
    height: int
    bytes: int

    @property
    def content_type(self) -> str:
        """Its media type."""
        return f"image/{self.format}"


def image_faults(operation: Operation, name: str, source: Source) -> list[Fault]:
    """What is wrong with this image as the file parameter `name`. Hostile bytes raise nothing."""
    if _rule(operation, name) is None:
        return [_not_a_file(name)]
    try:
        facts = read_image_facts(source, field=name)
    except InvalidJob as error:
        return list(error.faults)
    return rule_faults(operation, name, facts)


def rule_faults(operation: Operation, name: str, facts: ImageFacts) -> list[Fault]:
    """What is wrong with an image of which these facts are known already."""
    rule = _rule(operation, name)
    if rule is None:
        return [_not_a_file(name)]
    return [Fault(field=name, code=code, message=why) for code, why in _broken(rule, facts)]


def _rule(operation: Operation, name: str) -> ImageRule | None:
    file = operation.file(name)
    return None if file is None else file.image or ImageRule()


def _not_a_file(name: str) -> Fault:
    return Fault(field=name, code="not_a_file", message="is not a file of this operation")


def read_image_facts(source: Source, *, field: str = "image") -> ImageFacts:
    """Format and size, from the header; raises InvalidJob for what is no whole PNG, JPEG or WebP.

    A stream is read from its start, and left where it was.
    """
    try:
        with _opened(source) as stream:
            return _facts(stream)
    except BadImage as error:
        fault = Fault(field=field, code="bad_image", message=f"{error}; {_MEND}")
    except _TooLarge as error:
        fault = Fault(field=field, code="too_large", message=str(error))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fault = Fault(field=field, code="unreadable", message=f"cannot be read: {reason}")
    raise InvalidJob([fault])


class _TooLarge(Exception):
    """The file, or the picture in it, is larger than any that the API takes."""


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, str | PathLike):
        with Path(source).open("rb") as stream:
            yield stream
        return
    position = source.tell()
    try:
        yield source
    finally:
        source.seek(position)


def _facts(stream: BinaryIO) -> ImageFacts:
    size_bytes = stream.seek(0, SEEK_END)
    if size_bytes == 0:
        raise BadImage("is empty")
    if size_bytes > MAX_REQUEST_BYTES:
        raise _TooLarge(
            f"has {size_bytes / _MIB:.1f} MiB, and a request holds {MAX_REQUEST_BYTES // _MIB}; "
            "make it smaller, or compress it more"
        )
    image_format, (width, height) = read_header(stream, size_bytes)
    if width * height > MAX_PIXELS:
        raise _TooLarge(f"is {width}x{height}, larger than the API takes; make it smaller")
    return ImageFacts(format=image_format, width=width, height=height, bytes=size_bytes)


def _broken(rule: ImageRule, facts: ImageFacts) -> Iterator[tuple[str, str]]:
    """Code and sentence of each bound of the rule that the image breaks."""
    width, height = facts.width, facts.height
    size, pixels = f"is {width}x{height}", width * height
    shortest, longest = sorted((width, height))
    if facts.format not in rule.formats:
        allowed = " or ".join(name.upper() for name in rule.formats)
        yield "bad_format", f"is {facts.format.upper()}; convert it to {allowed}"
    if rule.sizes is not None and (width, height) not in rule.sizes:
        choice = ", ".join(f"{w}x{h}" for w, h in rule.sizes)
        yield "bad_size", f"{size}; scale or crop it to one of {choice}"
    if shortest < rule.min_side:
        yield "too_small", f"{size}; each side must have at least {rule.min_side:,} pixels"
    if rule.max_side is not None and longest > rule.max_side:
        yield "too_large", f"{size}; no side may have more than {rule.max_side:,} pixels"
    if pixels < rule.min_pixels:
        yield "too_small", f"{size}; it must have at least {rule.min_pixels:,} pixels in all"
    if rule.max_pixels is not None and pixels > rule.max_pixels:
        yield "too_large", f"{size}; it may have at most {rule.max_pixels:,} pixels in all"
    if rule.max_aspect is not None and longest > rule.max_aspect * shortest:
        yield "bad_aspect", f"{size}; crop it to at most {rule.max_aspect} times as long as wide"
