"""The outputs in an answer, as files: one, or as many as its JSON holds."""

import base64
import hashlib
import json
import tempfile
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.catalog.operation import Operation
from jobs.durable import storage_errors
from jobs.media import KIND, BadMedia, kind_of
from jobs.spool import Spooled

#: What a 64-bit integer of a database holds.
MOST_NUMBER = 2**63 - 1
#: All metadata of an object in S3 may have 2 KiB.
LONGEST_TEXT = 200
#: What the API calls media in JSON, in base64.
ENVELOPES = frozenset({"base64", "image", "video", "audio", "model", "result"})
#: What it tells of media beside it, and is kept when the media is taken out.
FACTS = frozenset({"id", "status", "seed", "finish_reason", "finishReason"})


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One output as it lies in the spool."""

    path: Path
    content_type: str
    sha256: str
    size: int
    seed: int | None
    finish_reason: str | None


@dataclass(frozen=True)
class Found:
    """One output as it lay in JSON, and what was told of it."""

    data: bytes
    content_type: str
    told: Mapping[str, Any]


class BeyondReading(BadMedia):
    """This is JSON, as far as it was read, and more than Python reads."""


@contextmanager
def pieces(operation: Operation, spooled: Spooled) -> Iterator[list[Piece]]:
    """The outputs in an answer; raises BadMedia, and StorageError.

    v2 answers with one, v1 with a list of artifacts in JSON. An address that no operation has may
    answer with anything: media in its JSON is taken out, and any other JSON is the output itself.
    """
    is_json = kind_in(spooled).partition(";")[0].strip().lower() == "application/json"
    if not operation.is_v1 and not (operation.media == "any" and is_json):
        yield [whole(spooled)]
        return
    with (
        storage_errors("unpack an answer"),
        tempfile.TemporaryDirectory(dir=spooled.path.parent) as folder,
    ):
        if operation.is_v1:
            yield list(written(Path(folder), artifacts(read_json(spooled))))
            return
        try:
            told = read_json(spooled)
        except BeyondReading:
            told = None
        found = media_in(told, kind_in(spooled))
        yield list(written(Path(folder), found)) or [whole(spooled, told)]


def whole(spooled: Spooled, told: Any = None) -> Piece:
    """The answer itself; if it is JSON it may tell what else the headers do."""
    facts = ChainMap(*(item for item in (told, *items_in(told)) if isinstance(item, dict)))
    return Piece(
        path=spooled.path,
        content_type=kind_in(spooled),
        sha256=spooled.sha256,
        size=spooled.size,
        seed=as_int(facts.get("seed", spooled.facts.get("seed"))),
        finish_reason=reason_in(facts) or reason_in(spooled.facts) or "SUCCESS",
    )


def kind_in(spooled: Spooled) -> str:
    """The content type of an answer."""
    return str(spooled.facts.get("content_type") or "")


def read_json(spooled: Spooled) -> Any:
    """The JSON of an answer. Raises BadMedia, and what the disk raises."""
    try:
        return json.loads(spooled.path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadMedia("the answer is no readable JSON") from error
    except (ValueError, RecursionError) as error:
        raise BeyondReading("the answer is too deep, or has a number that is too long") from error


def artifacts(told: Any) -> list[Found]:
    """v1's artifacts. Raises BadMedia."""
    try:
        # The document of 2023 has the bare list, that of 2024 the object around it.
        listed = told["artifacts"] if isinstance(told, dict) else told
        found = [Found(decoded(a["base64"]), "image/png", a) for a in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise BadMedia("the answer holds no readable artifacts") from error
    if not found:
        raise BadMedia("the answer holds no artifact")
    return found


def media_in(told: Any, announced: str) -> list[Found]:
    """The media in JSON of an unknown form, in base64; none, unless all of it is understood."""
    is_list = isinstance(told, dict) and told.keys() <= {"artifacts", "id"}
    found = [taken_out(item, announced) for item in (items_in(told) if is_list else [told])]
    return [media for media in found if media] if all(found) else []


def items_in(told: Any) -> list[Any]:
    """The artifacts in JSON, if it has a list of them."""
    artifacts = told.get("artifacts") if isinstance(told, dict) else None
    return artifacts if isinstance(artifacts, list) else []


def taken_out(told: Any, announced: str) -> Found | None:
    """The medium of an object that has one, and beside it nothing that would be lost."""
    names = told.keys() - FACTS if isinstance(told, dict) else set()
    if len(names) != 1 or not names <= ENVELOPES:
        return None
    try:
        data = decoded(told[names.pop()])
    except (ValueError, TypeError):
        return None
    kind = inner_kind(announced) or kind_of(data)
    return Found(data, kind, told) if data and kind else None


def inner_kind(announced: str) -> str | None:
    """What JSON is announced to hold: `application/json; type=image/png`."""
    kind = announced.partition("type=")[2].partition(";")[0].strip(' "').lower()
    return kind if KIND.fullmatch(kind) else None


def decoded(text: Any) -> bytes:
    """Bytes out of base64; raises ValueError and TypeError."""
    return base64.b64decode(text, validate=True)


def written(folder: Path, found: Iterable[Found]) -> Iterator[Piece]:
    """Media as files. Raises what the disk raises."""
    for index, media in enumerate(found):
        path = folder / str(index)
        path.write_bytes(media.data)
        yield Piece(
            path=path,
            content_type=media.content_type,
            sha256=hashlib.sha256(media.data).hexdigest(),
            size=len(media.data),
            seed=as_int(media.told.get("seed")),
            finish_reason=reason_in(media.told) or "SUCCESS",
        )


def reason_in(told: Mapping[str, Any]) -> str | None:
    """Why it ended, by any of the names that the API has for it."""
    return as_text(told.get("finishReason") or told.get("finish_reason"))


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
