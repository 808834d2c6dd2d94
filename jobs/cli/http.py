"""`darkroom api`: the HTTP interface on a socket."""

import sys
from typing import Annotated

import typer

from jobs.cli.home import settings_for
from jobs.cli.services import needs_redis


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("api")(api)


def api(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
) -> None:
    """Serve the HTTP interface until SIGTERM. Run as many as you like."""
    settings = needs_redis(settings_for("api"))
    from api.server import serve

    sys.exit(serve(settings, host=host, port=port))
