"""`darkroom assets`: images that are kept as inputs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs import assets as store
from jobs.catalog.images import read_image_facts
from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home
from jobs.errors import InvalidJob, InvalidManifest
from jobs.public import asset_public
from jobs.references import AssetReference

commands = new_group("List the images that are kept as inputs; show or add some.")

EXAMPLE = "For example: darkroom submit edit/remove-background image=$(darkroom assets add fox.png)"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="assets")


@commands.command("list")
def list_assets(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List the newest assets."""
    with open_home() as home, home.database.reading() as db:
        found = store.list_assets(db, home.project_id, limit=limit)
    shown = [asset_public(row) for row in found]
    say_list(shown, map(line, shown), as_json=as_json)


@commands.command("show")
def show(
    asset: Annotated[str, typer.Argument(help="Its id.")],
    as_json: AsJson = False,
) -> None:
    """Show one asset."""
    with open_home() as home:
        shown = look(home, asset.removeprefix("asset:"))
    say(shown, line(shown), as_json=as_json)


@commands.command("add", epilog=EXAMPLE)
def add(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="PNG, JPEG or WebP, up to 10 MiB each.")
    ],
    as_json: AsJson = False,
) -> None:
    """Keep images, each content once, and print what jobs call them as inputs."""
    check(files)
    with open_home() as home:
        ids = [
            store.add_asset(home.database, home.storage, home.project_id, file) for file in files
        ]
        shown = [look(home, asset_id) for asset_id in ids]
    say(shown, *(reference(asset) for asset in shown), as_json=as_json)


def check(files: list[Path]) -> None:
    """Keep all of them or none; raises InvalidManifest with every fault."""
    faults: list[str] = []
    for file in files:
        try:
            read_image_facts(file, field=str(file))
        except InvalidJob as error:
            faults += map(str, error.faults)
    if faults:
        raise InvalidManifest(faults)


def look(home: Home, asset_id: str) -> dict[str, Any]:
    """An asset's public form; raises NotFound."""
    with home.database.reading() as db:
        return asset_public(store.get_asset(db, home.project_id, asset_id))


def reference(asset: dict[str, Any]) -> str:
    """What a job calls it as an input."""
    return str(AssetReference(asset["id"]))


def line(asset: dict[str, Any]) -> str:
    """An asset in one line."""
    # Nobody has looked at one that was only announced.
    size = f"{asset['width']}x{asset['height']}" if asset["width"] else ""
    parts = [reference(asset), asset["content_type"], size, f"{asset['bytes']:,} bytes"]
    return "  ".join(part for part in (*parts, asset["created_at"]) if part)
