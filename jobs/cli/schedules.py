"""`darkroom schedules`: jobs and batches that are submitted by a clock."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.document import naming_faults, read_document
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home
from jobs.inputs import policy_of
from jobs.limiter.permits import connect
from jobs.nudge import nudge
from jobs.schedules import firing, store

commands = new_group(
    "Have jobs submitted by a clock: create, list, show, run, pause, resume, delete."
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="schedules")


@commands.command("list")
def list_schedules(as_json: AsJson = False) -> None:
    """List the newest schedules."""
    with open_home() as home, home.database.reading() as db:
        found = store.list_schedules(db, home.project_id)
        shown = [store.schedule_public(one, store.last_runs(db, one.id)) for one in found]
    say_list(shown, map(line, shown), as_json=as_json)


@commands.command("create")
def create(
    template: Annotated[
        Path, typer.Argument(help="A job, or a batch with its jobs, as JSON or YAML.")
    ],
    cron: Annotated[str, typer.Option(help="For example '0 7 * * *'.")],
    timezone: Annotated[str, typer.Option(help="For example Europe/Berlin.")] = "UTC",
    overlap: Annotated[
        firing.Overlap, typer.Option(help="When the last run is not over.")
    ] = firing.Overlap.SKIP,
    name: Annotated[str | None, typer.Option()] = None,
    as_json: AsJson = False,
) -> None:
    """Make a schedule."""
    asked = {"cron": cron, "timezone": timezone, "overlap": overlap, "name": name}
    with open_home() as home:
        schedule_id = make(home, template, asked)
        tell(home, schedule_id, as_json=as_json)


def make(home: Home, file: Path, asked: dict[str, Any]) -> str:
    """The new schedule's id; raises InvalidManifest with every fault."""
    raw = {**asked, "template": read_document(file)}
    # What callers may send is the interface's affair, and it takes a while to import.
    from api.flow_bodies import checked
    from api.schedule_bodies import Planner, ScheduleBody, new_schedule

    policy = policy_of(home.settings)
    on_uncertain = home.settings.darkroom_on_uncertain
    planner = Planner(home.database, home.storage, policy, home.project_id, on_uncertain)
    with naming_faults(file):
        body = checked(ScheduleBody, raw)
        now = home.database.now()
        wanted = new_schedule(body, planner.plan(body.template), now)
        with home.database.transaction() as db:
            return store.create(db, wanted, now, project_id=home.project_id)


@commands.command("show")
def show(schedule: str, as_json: AsJson = False) -> None:
    """Show one schedule and its last runs."""
    with open_home() as home:
        tell(home, schedule, as_json=as_json)


@commands.command("run")
def run(schedule: str, as_json: AsJson = False) -> None:
    """Run it now, also a paused one."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            firing.run_now(db, home.project_id, schedule, now)
        tell(home, schedule, as_json=as_json)
    if home.settings.redis_url is not None:
        nudge(connect(home.settings.redis_url))


@commands.command("pause")
def pause(schedule: str, as_json: AsJson = False) -> None:
    """Run it no more, until it is resumed."""
    set_pause(schedule, is_paused=True, as_json=as_json)


@commands.command("resume")
def resume(schedule: str, as_json: AsJson = False) -> None:
    """Run it again from its next time on."""
    set_pause(schedule, is_paused=False, as_json=as_json)


@commands.command("delete")
def delete(schedule: str, as_json: AsJson = False) -> None:
    """Forget it; what it let in goes on."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.delete(db, home.project_id, schedule, now)
    say({"id": schedule, "deleted": True}, "deleted; what it let in goes on", as_json=as_json)


def set_pause(schedule: str, *, is_paused: bool, as_json: bool) -> None:
    """Pause or resume a schedule."""
    with open_home() as home:
        now = home.database.now()
        changes = {"paused_at": now if is_paused else None}
        with home.database.transaction() as db:
            store.change(db, home.project_id, schedule, changes, now)
        tell(home, schedule, as_json=as_json)


def tell(home: Home, schedule_id: str, *, as_json: bool) -> None:
    """Show one schedule."""
    with home.database.reading() as db:
        found = store.find(db, home.project_id, schedule_id)
        shown = store.schedule_public(found, store.last_runs(db, schedule_id))
    say(shown, line(shown), *map(run_line, shown["runs"]), as_json=as_json)


def line(schedule: dict[str, Any]) -> str:
    """A schedule in one line."""
    if not schedule["enabled"]:
        coming = "paused"
    elif schedule["next_run_at"] is None:
        coming = "over"
    else:
        coming = f"next {schedule['next_run_at']}"
    parts = [schedule["id"], schedule["name"], schedule["cron"], schedule["timezone"], coming]
    return "  ".join(part for part in parts if part)


def run_line(ran: dict[str, Any]) -> str:
    """One of its runs in a line."""
    made = ran["batch_id"] or ran["job_id"]
    came = f"skipped: {ran['skipped_because']}" if ran["skipped_because"] else made
    return f"  {ran['due_at']}  {ran['cause']:8}  {came}"
