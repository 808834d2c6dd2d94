"""All commands in one place, and what every one of them does with an error."""

import errno
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from jobs.cli.assets import add_to as add_assets
from jobs.cli.batches import add_to as add_batches
from jobs.cli.brakes import add_to as add_brakes
from jobs.cli.credentials import add_to as add_credentials
from jobs.cli.flows import add_to as add_flows
from jobs.cli.http import add_to as add_http
from jobs.cli.jobs import add_to as add_jobs
from jobs.cli.keys import add_to as add_keys
from jobs.cli.manifests import add_to as add_manifests
from jobs.cli.operations import add_to as add_operations
from jobs.cli.projects import add_to as add_projects
from jobs.cli.schedules import add_to as add_schedules
from jobs.cli.services import add_to as add_services
from jobs.cli.webhooks import add_to as add_webhooks
from jobs.errors import DarkroomError, InvalidManifest
from jobs.telemetry import redact

app = typer.Typer(
    name="darkroom",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for add_to in (
    add_manifests,
    add_jobs,
    add_batches,
    add_assets,
    add_flows,
    add_schedules,
    add_webhooks,
    add_projects,
    add_brakes,
    add_credentials,
    add_operations,
    add_keys,
    add_http,
    add_services,
):
    add_to(app)


def tell_version(is_asked: bool) -> None:
    """Say which version this is, and end."""
    if not is_asked:
        return
    try:
        print(f"darkroom {version('darkroom')}")
    except PackageNotFoundError:
        print("darkroom, not installed, so that nobody knows its version")
    raise typer.Exit


@app.callback()
def darkroom(
    _is_asked: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=tell_version, help="Say which version this is."
        ),
    ] = False,
) -> None:
    """A job queue for the Stability AI API: nothing lost, nothing paid twice."""


#: What a disk says to a user who may not, or has no room.
REFUSALS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}

#: Wrong use, as opposed to work that failed.
USAGE = 2


def run_app() -> None:
    """Run a command; an expected error is one clear line and exit code 2."""
    try:
        app(prog_name="darkroom")
    except InvalidManifest as error:
        for line in error.lines:
            print(f"darkroom: {redact(line)}", file=sys.stderr)
        sys.exit(USAGE)
    except DarkroomError as error:
        print(f"darkroom: {redact(str(error))}", file=sys.stderr)
        sys.exit(USAGE)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # What the disk refuses is for the user to mend; whatever else it is keeps its traceback.
        if error.filename is None or error.errno not in REFUSALS:
            raise
        print(f"darkroom: {redact(f'{error.filename}: {error.strerror}')}", file=sys.stderr)
        sys.exit(USAGE)
