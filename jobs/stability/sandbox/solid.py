"""3D models: a small glTF 2.0 binary, one faceted and coloured solid that differs by seed."""

import colorsys
import json
import math
import struct

from jobs.stability.sandbox.plan import Plan

#: glTF 2.0: container and chunk marks, and the numbers of its types and targets.
GLB_MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, VERTEX_BUFFER = 5126, 34962

Point = tuple[float, float, float]


def draw(plan: Plan) -> bytes:
    """The model of a plan."""
    corners = [corner for triangle in solid(plan.look_bytes) for corner in triangle]
    normals = [normal for triangle in solid(plan.look_bytes) for normal in [facing(triangle)] * 3]
    positions = b"".join(struct.pack("<3f", *corner) for corner in corners)
    binary = positions + b"".join(struct.pack("<3f", *normal) for normal in normals)
    scene = describe(corners, len(positions), colour_of(plan.look_bytes))
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    chunks += struct.pack("<II", len(binary), BINARY_CHUNK) + binary
    return struct.pack("<III", GLB_MAGIC, 2, 12 + len(chunks)) + chunks


def solid(look: bytes) -> list[tuple[Point, Point, Point]]:
    """The triangles of a cut gem: two tips and a girdle between them."""
    count = 6 + look[0] % 7
    top, bottom = (0.0, 0.6 + look[1] / 400, 0.0), (0.0, -0.6 - look[2] / 300, 0.0)
    girdle = []
    for number in range(count):
        angle = math.tau * number / count
        radius = 0.6 + look[3 + number] / 640
        girdle.append((radius * math.cos(angle), 0.15, -radius * math.sin(angle)))
    triangles = []
    for here, there in zip(girdle, girdle[1:] + girdle[:1], strict=True):
        triangles += [(here, there, top), (there, here, bottom)]
    return triangles


def facing(triangle: tuple[Point, Point, Point]) -> Point:
    """The direction in which a triangle looks."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = triangle
    ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def colour_of(look: bytes) -> list[float]:
    """A clear colour, as red, green, blue and opacity."""
    return [*colorsys.hls_to_rgb(look[20] / 255, 0.55, 0.6), 1.0]


def describe(corners: list[Point], positions_bytes: int, colour: list[float]) -> dict[str, object]:
    """The JSON part: one mesh with positions and normals, and its material."""
    shape = {"componentType": FLOAT, "count": len(corners), "type": "VEC3"}
    lowest, highest = [[rule(axis) for axis in zip(*corners, strict=True)] for rule in (min, max)]
    # The bounds must be those of the 32-bit numbers in the buffer.
    bounds = {"min": to_float32(lowest), "max": to_float32(highest)}
    views = [
        {"buffer": 0, "byteOffset": offset, "byteLength": positions_bytes, "target": VERTEX_BUFFER}
        for offset in (0, positions_bytes)
    ]
    surface = {"baseColorFactor": colour, "metallicFactor": 0.1, "roughnessFactor": 0.6}
    primitive = {"attributes": {"POSITION": 0, "NORMAL": 1}, "material": 0}
    return {
        "asset": {"version": "2.0", "generator": "darkroom sandbox"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": surface}],
        "accessors": [{"bufferView": 0, **shape, **bounds}, {"bufferView": 1, **shape}],
        "bufferViews": views,
        "buffers": [{"byteLength": 2 * positions_bytes}],
    }


def to_float32(numbers: list[float]) -> list[float]:
    """The nearest 32-bit values."""
    return [struct.unpack("<f", struct.pack("<f", number))[0] for number in numbers]
