"""Where `submit --out` writes: asked before anything is paid, written at the end."""

import os
import shutil
import sys
from pathlib import Path

import typer

from jobs import history
from jobs.cli.home import Home
from jobs.storage.keys import extension_of


def check_out(out: Path) -> None:
    """Refuse a place where no file can be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        is_file = not out.is_dir() and os.access(out.parent, os.W_OK)
    except OSError:
        is_file = False
    if not is_file:
        raise typer.BadParameter(f"{out} is no file that can be written", param_hint="--out")


def save(home: Home, job_id: str, out: Path) -> None:
    """Write the outputs: to `out`, further ones beside it with a number."""
    with home.database.reading() as db:
        outputs = history.outputs_of(db, [job_id])[job_id]
    for output in outputs:
        ending = out.suffix or f".{extension_of(output.content_type)}"
        number = f"-{output.number}" if output.number else ""
        target = out.with_name(f"{out.stem}{number}{ending}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with home.storage.open(output.key) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
        print(target, file=sys.stderr)
