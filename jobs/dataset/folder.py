"""The folder of a dataset: whose it is, and files in it that are whole or not there."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from jobs.dataset.form import Form
from jobs.errors import Conflict

#: It is there from the start of the first export, and says whose folder this is.
ABOUT_FILE = "dataset.json"

#: Without that file these are somebody else's.
OURS = ("metadata.jsonl", "failed.jsonl", "shard-*.tar", "train-*.parquet")

#: Whose lock is the right to write shards; it stays there, and loaders pass over hidden files.
LOCK_FILE = ".export.lock"


def claim(out: Path, about: Mapping[str, Any], form: Form) -> None:
    """Make the folder, or make sure that it holds this very dataset; `Conflict` if it does not."""
    with told(out):
        if out.exists() and not out.is_dir():
            raise Conflict(f"{out} is a file; the dataset needs a folder.")
        out.mkdir(parents=True, exist_ok=True)
        if not (out / ABOUT_FILE).exists():
            for strange in (path for pattern in OURS for path in out.glob(pattern)):
                raise Conflict(
                    f"{out} holds a {strange.name} of something else; choose another folder."
                )
            write_json(out / ABOUT_FILE, {"format": form, "complete": False, "about": dict(about)})
        held_batch, held_form = _held_by(out / ABOUT_FILE)
    if held_batch != about.get("batch_id"):
        raise Conflict(f"{out} holds the dataset of another batch; choose another folder.")
    if held_form != form:
        raise Conflict(
            f"{out} holds this batch as {held_form}; choose another folder for {form}, "
            f"or --format {held_form}."
        )


def reopen(out: Path) -> None:
    """Say that the dataset is not complete, until the export that begins has ended."""
    path = out / ABOUT_FILE
    write_json(path, json.loads(path.read_bytes()) | {"complete": False})


@contextmanager
def sole_export(out: Path) -> Iterator[None]:
    """Keep other exports out of the folder, on this machine; the kernel ends it with its owner.

    `Conflict` if there is one.
    """
    with (out / LOCK_FILE).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"Another export is writing {out}; wait for its end.") from error
        yield


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A folder for what is fetched next, and nothing left of an export that was killed.

    Only for whoever is alone here.
    """
    for leftover in out.glob(".*.part"):
        leftover.unlink(missing_ok=True)
    place = out / ".fetched"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def told(out: Path) -> Iterator[None]:
    """Say in a sentence what the file system refuses."""
    try:
        yield
    except OSError as error:
        raise Conflict(f"{out} cannot be written: {error.strerror or error}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end of a block that went well."""
    # The process id lets two exports of one batch work side by side: the last whole file wins.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace the file by this value, for people to read."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def json_line(value: Mapping[str, Any]) -> bytes:
    """The value as a line of JSONL."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _held_by(path: Path) -> tuple[object, object]:
    """The batch and the format, or None for what is not ours."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return None, None
    about = found.get("about") if isinstance(found, dict) else None
    if not isinstance(about, dict):
        return None, None
    return about.get("batch_id"), found.get("format", Form.FILES)
