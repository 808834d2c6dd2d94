"""The outputs in an answer, as files: one, or as many as its JSON holds."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.catalog.operation import Operation
from jobs.durable import storage_errors
from jobs.media import BadMedia
from jobs.spool import Spooled

#: What a 64-bit integer of a database holds.
MOST_NUMBER = 2**63 - 1
#: All metadata of an object in S3 may have 2 KiB.
LONGEST_TEXT = 200


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One output as it lies in the spool."""

    path: Path
    content_type: str
    sha256: str
    size: int
    seed: int | None
    finish_reason: str | None


@contextmanager
def pieces(operation: Operation, spooled: Spooled) -> Iterator[list[Piece]]:
    """The outputs in an answer: v2 answers with one, v1 with a list of artifacts in JSON."""
    if not operation.is_v1:
        yield [
            Piece(
                path=spooled.path,
                content_type=str(spooled.facts.get("content_type") or ""),
                sha256=spooled.sha256,
                size=spooled.size,
                seed=as_int(spooled.facts.get("seed")),
                finish_reason=as_text(spooled.facts.get("finish_reason")) or "SUCCESS",
            )
        ]
        return
    with (
        storage_errors("unpack an answer"),
        tempfile.TemporaryDirectory(dir=spooled.path.parent) as folder,
    ):
        yield list(artifacts(spooled, Path(folder)))


def artifacts(spooled: Spooled, folder: Path) -> Iterator[Piece]:
    """v1's artifacts as files. Raises BadMedia, and what the disk raises."""
    try:
        told = json.loads(spooled.path.read_bytes())
        # The document of 2023 has the bare list, that of 2024 the object around it.
        listed = told["artifacts"] if isinstance(told, dict) else told
        decoded = [(base64.b64decode(a["base64"], validate=True), a) for a in listed]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadMedia("the answer holds no readable artifacts") from error
    if not decoded:
        raise BadMedia("the answer holds no artifact")
    for index, (data, artifact) in enumerate(decoded):
        path = folder / str(index)
        path.write_bytes(data)
        yield Piece(
            path=path,
            content_type="image/png",
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            seed=as_int(artifact.get("seed")),
            finish_reason=as_text(artifact.get("finishReason")) or "SUCCESS",
        )


def as_int(value: object) -> int | None:
    """A number out of a header or JSON, or None; also for one that no database can hold."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if abs(number) <= MOST_NUMBER else None


def as_text(value: object) -> str | None:
    """A text as a header of an object can hold it, or None."""
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isascii() and c.isprintable())[:LONGEST_TEXT] or None
