"""What every command of `darkroom` promises."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from jobs.cli.app import app

#: They serve until they are ended, and so have nothing to tell in the end.
SERVING = {"api", "beat", "migrate", "sandbox", "up", "worker"}


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name."""
    commands = getattr(command, "commands", None)
    if commands is None:
        yield name, command
        return
    for part, inner in commands.items():
        yield from walk(inner, f"{name} {part}".strip())


DARKROOM: Any = typer.main.get_command(app)
COMMANDS = dict(walk(DARKROOM))
GROUPS = [name for name, command in DARKROOM.commands.items() if hasattr(command, "commands")]


def test_those_that_serve_are_commands() -> None:
    assert COMMANDS.keys() >= SERVING


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - SERVING))
def test_a_command_speaks_json(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}

    assert "--json" in options


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_lists(name: str) -> None:
    assert f"{name} list" in COMMANDS
