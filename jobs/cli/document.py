"""A file with one JSON or YAML document, and the faults of what it asks for, line by line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.errors import DarkroomError, InvalidManifest

YAML = {".yaml", ".yml"}


def read_document(path: Path) -> Any:
    """What the file says; raises InvalidManifest."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidManifest([f"{path}: cannot be read: {error}"]) from error
    if path.suffix in YAML:
        return _read_yaml(path, text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidManifest([f"{path}: is no JSON: {error}"]) from error


def _read_yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        message = f"{path}: for YAML install PyYAML (pip install pyyaml), or write JSON"
        raise InvalidManifest([message]) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidManifest([f"{path}: is no YAML: {error}"]) from error


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
