"""The commands that run things: `up`, `worker`, `beat`, `migrate`, `sandbox`, `doctor`."""

import signal
import sys
from threading import Event
from typing import Annotated

import typer

from jobs.cli import doctor as checks
from jobs.cli.embed import services
from jobs.cli.home import prepare, settings_for
from jobs.errors import SettingsError
from jobs.schema import HEAD
from jobs.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("worker")(worker)
    app.command("beat")(beat)
    app.command("migrate")(migrate)
    app.command("doctor")(doctor)
    app.command(
        "sandbox", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(sandbox)


def up() -> None:
    """Run everything that is not running yet, until Ctrl-C."""
    settings = settings_for("up")
    database = prepare(settings)
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with services(settings, database, lambda line: print(line, file=sys.stderr)) as running:
        if running.is_sandbox:
            print("SANDBOX: STABILITY_API_KEY is not set, so a stand-in plays the API")
        word = "worker and dispatcher run" if running.has_own_worker else "a worker runs already"
        print(f"{word}; home {settings.home}; Ctrl-C ends", flush=True)
        stopping.wait()


def worker(
    with_beat: Annotated[bool, typer.Option("--beat", help="Dispatch, too.")] = False,
) -> None:
    """Work on jobs until SIGTERM. Run as many as you like."""
    settings = needs_redis(settings_for("worker"))
    if not settings.api_keys:
        raise SettingsError(
            "STABILITY_API_KEY: a worker needs a key; for a trial use `darkroom up`"
        )
    from workers.program import run_worker

    sys.exit(run_worker(settings, with_beat=with_beat))


def beat() -> None:
    """Dispatch what is due, and do what the clock asks for. Several do no harm."""
    settings = needs_redis(settings_for("beat"))
    from workers.program import run_beat

    sys.exit(run_beat(settings))


def needs_redis(settings: Settings) -> Settings:
    """The settings, if they name a Redis."""
    if settings.redis_url is None:
        raise SettingsError("REDIS_URL is not set; `darkroom up` brings a Redis of its own")
    return settings


def migrate() -> None:
    """Bring the database's schema up to date."""
    prepare(settings_for("migrate")).close()
    print(f"the schema is {HEAD}")


def doctor() -> None:
    """Check settings, database, broker, bucket, key and balance; exit 1 if one fails."""
    raise typer.Exit(0 if checks.run_checks(settings_for("doctor")) else 1)


def sandbox(context: typer.Context) -> None:
    """Play the API; `darkroom sandbox --help-all` lists its options."""
    from jobs.stability.sandbox.options import main

    arguments = ["--help" if text == "--help-all" else text for text in context.args]
    raise typer.Exit(main(arguments))
