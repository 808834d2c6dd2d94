"""A file with one JSON or YAML document, and the faults of what it asks for, line by line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from jobs.errors import DarkroomError, InvalidManifest

YAML = {".yaml", ".yml"}


def read_document(path: Path) -> Any:
    """What the file says; raises InvalidManifest."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidManifest([f"{path}: cannot be read: {error}"]) from error
    is_yaml = path.suffix in YAML
    try:
        return yaml.safe_load(text) if is_yaml else json.loads(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        form = "YAML" if is_yaml else "JSON"
        # YAML tells of a fault in a picture of several lines.
        why = " ".join(str(error).split())
        raise InvalidManifest([f"{path}: is no {form}: {why}"]) from error


@contextmanager
def naming_faults(path: Path) -> Iterator[None]:
    """Raise what is wrong with the document as InvalidManifest, each fault in a line of its own."""
    try:
        yield
    except InvalidManifest:
        raise
    except DarkroomError as error:
        faults = getattr(error, "faults", None)
        if faults is None:
            raise
        raise InvalidManifest([f"{path}: {fault}" for fault in faults]) from error
