"""What a command says: lines for people, or one JSON document for programs."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]


def say(document: Any, *lines: str, as_json: bool) -> None:
    """Print the document or else the lines."""
    if as_json:
        lines = (json.dumps(document, indent=2, ensure_ascii=False, default=str),)
    for line in lines:
        print(line)


def say_list(document: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a list; people are told, beside the output, that there is nothing in it."""
    lines = list(lines)
    say(document, *lines, as_json=as_json)
    if not (lines or as_json):
        print("none yet", file=sys.stderr)
