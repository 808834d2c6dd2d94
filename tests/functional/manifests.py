"""Manifests and pictures for tests."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.sandbox.caller import picture

#: A size of which Stability makes videos.
VIDEO_SIZE = (768, 768)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A manifest with a column for every name in any row."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A manifest with a JSON object for every row."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def prompts(path: Path, *texts: str) -> Path:
    """A manifest of one prompt for each row."""
    rows = [{"operation": "generate/core", "prompt": text} for text in texts]
    return write_csv(path, rows)


def write_picture(path: Path, width: int, height: int) -> Path:
    """A picture without a motif."""
    path.write_bytes(picture(width, height))
    return path


def mixed(path: Path, *, cores: int, upscales: int, videos: int, earlier: Sequence[Path]) -> Path:
    """The main job: pictures, upscales of pictures made earlier, and videos."""
    still = write_picture(path.with_name("still.png"), *VIDEO_SIZE)
    rows: list[dict[str, object]] = [
        {"operation": "generate/core", "prompt": f"view {n}", "output_format": "jpeg"}
        for n in range(cores)
    ]
    rows += [
        {
            "operation": "upscale/fast",
            "image": earlier[n % len(earlier)].relative_to(path.parent),
            "output_format": "jpeg",
        }
        for n in range(upscales)
    ]
    rows += [
        {"operation": "image-to-video", "image": still.name, "motion_bucket_id": n + 1}
        for n in range(videos)
    ]
    return write_csv(path, rows)
