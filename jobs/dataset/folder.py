"""The folder of a dataset: whose it is, and files in it that are whole or not there."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from jobs.errors import Conflict

#: It is there from the start of the first export, and says whose folder this is.
ABOUT_FILE = "dataset.json"


def claim(out: Path, about: Mapping[str, Any]) -> None:
    """Make the folder, or make sure that it holds this very batch; `Conflict` if it does not."""
    if out.exists() and not out.is_dir():
        raise Conflict(f"{out} is a file; the dataset needs a folder.")
    with told(out):
        out.mkdir(parents=True, exist_ok=True)
        taken = (out / ABOUT_FILE).exists()
        if not taken and (out / "metadata.jsonl").exists():
            raise Conflict(
                f"{out} holds a metadata.jsonl of something else; choose another folder."
            )
        if taken and _batch_of(out / ABOUT_FILE) != about.get("batch_id"):
            raise Conflict(f"{out} holds the dataset of another batch; choose another folder.")
        if not taken:
            write_json(out / ABOUT_FILE, {"complete": False, "about": dict(about)})


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


def _batch_of(path: Path) -> object:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return None
    about = found.get("about") if isinstance(found, dict) else None
    return about.get("batch_id") if isinstance(about, dict) else None
