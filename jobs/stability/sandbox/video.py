"""Videos: a small MP4, one Motion-JPEG track whose colours travel through a still pattern."""

import struct
from collections.abc import Sequence
from fractions import Fraction

from jobs.stability.sandbox.patterns import raster
from jobs.stability.sandbox.picture import encode, field_of, palette_of
from jobs.stability.sandbox.plan import Plan

FRAMES = 12
FRAMES_PER_SECOND = 8
#: How far the colours travel around their circle in the whole video.
TURN = Fraction(1, 4)

#: ISO/IEC 14496-1: object type "Visual ISO/IEC 10918-1 (JPEG)", stream type "visual".
JPEG_OBJECT, VISUAL_STREAM = 0x6C, 0x11
#: No rotation, no scaling: ones in 16.16 and 2.30 fixed point.
UNITY_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
#: ISO 639-2 "und", packed five bits a letter.
UNDETERMINED = 0x55C4


def draw(plan: Plan) -> bytes:
    """The video of a plan."""
    image = raster(field_of(plan), plan.width, plan.height)
    frames = [
        encode(image, palette_of(plan, float(TURN * number / FRAMES)), form="jpeg")
        for number in range(FRAMES)
    ]
    return mp4(frames, plan.width, plan.height)


def mp4(frames: Sequence[bytes], width: int, height: int) -> bytes:
    """A file with one track: `ftyp`, then the frames in `mdat`, then their index in `moov`."""
    kind = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isommp41")
    media = box(b"mdat", *frames)
    first_frame = len(kind) + 8
    return kind + media + box(b"moov", header(), track(frames, width, height, first_frame))


def box(kind: bytes, *parts: bytes) -> bytes:
    """An MP4 box: length, kind, content."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind: bytes, flags: int, *parts: bytes) -> bytes:
    """A box with version 0 and flags."""
    return box(kind, struct.pack(">I", flags), *parts)


def header() -> bytes:
    """`mvhd`: time scale, length, normal speed (1.0) and volume (1.0)."""
    times = struct.pack(">IIII", 0, 0, FRAMES_PER_SECOND, FRAMES)
    rates = struct.pack(">IH10x", 0x10000, 0x100)
    next_track = struct.pack(">24xI", 2)
    return full_box(b"mvhd", 0, times, rates, UNITY_MATRIX, next_track)


def track(frames: Sequence[bytes], width: int, height: int, first_frame: int) -> bytes:
    """`trak`: the one track, enabled and part of the movie."""
    times = struct.pack(">IIIII", 0, 0, 1, 0, FRAMES)
    size = struct.pack(">II", width << 16, height << 16)
    head = full_box(b"tkhd", 3, times, bytes(16), UNITY_MATRIX, size)
    media_times = struct.pack(">IIIIHH", 0, 0, FRAMES_PER_SECOND, FRAMES, UNDETERMINED, 0)
    handler = full_box(b"hdlr", 0, bytes(4), b"vide", bytes(12), b"video\0")
    here = box(b"dinf", full_box(b"dref", 0, struct.pack(">I", 1), full_box(b"url ", 1)))
    info = box(
        b"minf",
        full_box(b"vmhd", 1, bytes(8)),
        here,
        sample_table(frames, width, height, first_frame),
    )
    return box(b"trak", head, box(b"mdia", full_box(b"mdhd", 0, media_times), handler, info))


def sample_table(frames: Sequence[bytes], width: int, height: int, first_frame: int) -> bytes:
    """`stbl`: how the frames are coded, how long each lasts, and where it lies."""
    count = len(frames)
    sizes = struct.pack(f">II{count}I", 0, count, *(len(frame) for frame in frames))
    return box(
        b"stbl",
        full_box(b"stsd", 0, struct.pack(">I", 1), sample_entry(width, height)),
        full_box(b"stts", 0, struct.pack(">III", 1, count, 1)),
        full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, count, 1)),
        full_box(b"stsz", 0, sizes),
        full_box(b"stco", 0, struct.pack(">II", 1, first_frame)),
    )


def sample_entry(width: int, height: int) -> bytes:
    """`mp4v`, whose descriptor says that each sample is a JPEG picture."""
    # 72 dots an inch, one frame a sample, 24 bits a pixel.
    looks = struct.pack(">HHIII", width, height, 72 << 16, 72 << 16, 0)
    frame = struct.pack(">H32xHh", 1, 24, -1)
    decoder = descriptor(4, struct.pack(">BB3xII", JPEG_OBJECT, VISUAL_STREAM, 0, 0))
    stream = descriptor(3, struct.pack(">HB", 1, 0), decoder, descriptor(6, b"\x02"))
    return box(b"mp4v", struct.pack(">6xH16x", 1), looks, frame, full_box(b"esds", 0, stream))


def descriptor(tag: int, *parts: bytes) -> bytes:
    """An MPEG-4 descriptor; all of ours are shorter than 128 bytes."""
    body = b"".join(parts)
    return bytes((tag, len(body))) + body
