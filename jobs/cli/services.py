"""The commands that run things: `up`, `worker`, `beat`, `migrate`, `sandbox`, `doctor`."""

import signal
import sys
from threading import Event
from typing import Annotated

import typer

from jobs import keys
from jobs.cli import doctor as checks
from jobs.cli.answer import AsJson, say
from jobs.cli.embed import READY, api_program, check_place, services
from jobs.cli.home import prepare, settings_for
from jobs.db import Database
from jobs.embedded.ports import origin
from jobs.embedded.supervisor import Supervisor
from jobs.errors import SettingsError
from jobs.models import DEFAULT_PROJECT
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


def up(
    host: Annotated[str, typer.Option(help="Where the API listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
) -> None:
    """Run all that is not running yet, until Ctrl-C: API, dashboard, worker, dispatcher, beat."""
    settings = settings_for("up")
    check_place(settings.home, host, port)
    database = prepare(settings)
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with services(settings, database, tell) as running:
        api = api_program(running.settings, host, port)
        with Supervisor(settings.home, [api], say=tell) as supervisor:
            supervisor.wait_until_ready(READY)
            if running.is_sandbox:
                print("SANDBOX: STABILITY_API_KEY is not set, so a stand-in plays the API")
            work = "worker and beat run" if running.has_own_worker else "a worker runs already"
            print(f"{origin(host, port)}: {work}; home {settings.home}; Ctrl-C ends")
            print("open that address in a browser for the dashboard; /docs describes the API")
            if (key := first_key(database)) is not None:
                print(f"key {key} (shown this once; `darkroom keys create` makes more)")
            sys.stdout.flush()
            stopping.wait()


def tell(line: str) -> None:
    """Say what becomes of a child."""
    print(line, file=sys.stderr)


def first_key(database: Database) -> str | None:
    """An admin key, if there was none of any kind."""
    now = database.now()
    with database.transaction() as db:
        if keys.list_keys(db):
            return None
        return keys.create_key(db, DEFAULT_PROJECT, {keys.Scope.ADMIN}, now)[0]


def worker(
    with_beat: Annotated[bool, typer.Option("--beat", help="Dispatch, too.")] = False,
) -> None:
    """Work on jobs until SIGTERM. Run as many as you like."""
    settings = needs_redis(settings_for("worker"))
    if not settings.api_keys and settings.darkroom_secret_key is None:
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


def doctor(as_json: AsJson = False) -> None:
    """Check settings, database, broker, bucket, key and balance; exit 1 if one fails."""
    found = []
    for finding in checks.examine(settings_for("doctor")):
        found.append(finding)
        if not as_json:
            # A part that is away may take a while to be found so.
            print(finding.line(), flush=True)
    say([vars(finding) for finding in found], as_json=as_json)
    raise typer.Exit(0 if all(finding.ok for finding in found) else 1)


def sandbox(context: typer.Context) -> None:
    """Play the API; `darkroom sandbox --help-all` lists its options."""
    from jobs.stability.sandbox.options import main

    arguments = ["--help" if text == "--help-all" else text for text in context.args]
    raise typer.Exit(main(arguments))
