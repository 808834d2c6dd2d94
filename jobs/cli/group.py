"""A group of commands for one kind of thing, such as `darkroom jobs`, which lists alone."""

from typing import Any

import typer
from typer.core import TyperGroup


class Group(TyperGroup):
    """`darkroom jobs --state failed` is `darkroom jobs list --state failed`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take options without a command for the list's."""
        if not args or (args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx)):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def new_group(help_: str) -> typer.Typer:
    """A group, which has to have a command `list`."""
    epilog = "Alone it lists, and takes the options of `list`."
    return typer.Typer(cls=Group, help=help_, epilog=epilog, add_completion=False)
