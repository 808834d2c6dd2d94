"""What a command says: lines for people, or one JSON document for programs."""

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]


def say(document: Any, *lines: str, as_json: bool) -> None:
    """Print the document or else the lines."""
    if as_json:
        lines = (json.dumps(document, indent=2, ensure_ascii=False, default=str),)
    for line in lines:
        print(line)
