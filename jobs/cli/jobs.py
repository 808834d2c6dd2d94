"""`darkroom submit`, `jobs`, `explain`, `resolve`: one job at a time."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from jobs import assets, history
from jobs.batches import get_batch
from jobs.catalog.images import image_faults
from jobs.catalog.loader import operation as find_operation
from jobs.catalog.operation import Operation
from jobs.catalog.validate import clean
from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.embed import services
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home, settings_for
from jobs.cli.manifests import pair
from jobs.cli.payer import is_worked
from jobs.cli.saving import check_out, save
from jobs.cli.webhooks import check_webhook
from jobs.db import is_away
from jobs.errors import Conflict, Fault, InvalidJob
from jobs.forecast import Forecaster, JobForecast
from jobs.inputs import keep_inputs, policy_of, reference_faults
from jobs.limiter.permits import connect
from jobs.manifest.draft import MAX_PRIORITY
from jobs.nudge import nudge
from jobs.public import credits_of, fate_of, history_public, job_public
from jobs.queue import desk, intake
from jobs.states import FINAL, JobState
from jobs.submission import asset_faults

LOOK_SECONDS = 0.2

commands = new_group("List jobs; show, cancel, retry or front one.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("submit")(submit)
    app.command("explain")(explain)
    app.command("resolve")(resolve)
    app.add_typer(commands, name="jobs")


def submit(
    operation: Annotated[str, typer.Argument(help="For example generate/core.")],
    values: Annotated[list[str] | None, typer.Argument(metavar="[K=V] [image=@FILE]")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the output here.")] = None,
    priority: Annotated[
        int, typer.Option(min=-MAX_PRIORITY, max=MAX_PRIORITY, help="Higher is sooner.")
    ] = 10,
    webhook: Annotated[str | None, typer.Option(help="An address that is told of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Submit one job."""
    if out is not None:
        check_out(out)
    settings = settings_for("submit")
    params, files = read_values(find_operation(operation), values or [])
    with open_home(settings) as home:
        check_webhook(settings, webhook)
        job = replace(new_job(home, operation, params, files, priority), webhook_url=webhook)
        if not (wait or out):
            tell(home, insert(home, job), as_json=as_json)
            return
        with services(
            settings, home.database, lambda line: print(line, file=sys.stderr)
        ) as running:
            home = replace(home, settings=running.settings)
            job_id = insert(home, job)
            state = wait_for(home, job_id)
        if out is not None and state in {JobState.SUCCEEDED, JobState.FILTERED}:
            save(home, job_id, out)
        tell(home, job_id, as_json=as_json)
    raise typer.Exit(0 if state == JobState.SUCCEEDED else 1)


def read_values(operation: Operation, values: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split `k=v` into parameters and files; before the name of a listed file `@` is optional."""
    params: dict[str, str] = {}
    files: dict[str, str] = {}
    for text in values:
        name, value = pair(text, "K=V")
        file = operation.file(name)
        is_listed = file is not None and file in operation.parameters
        if is_listed or (file is not None and value.startswith("@")):
            files[name] = value.removeprefix("@")
        else:
            params[name] = value
    return params, files


def new_job(
    home: Home, name: str, params: dict[str, str], files: dict[str, str], priority: int
) -> intake.NewJob:
    """A checked job, its files in the bucket; raises InvalidJob with every fault."""
    operation = find_operation(name)
    cleaned, faults = clean(operation, params, files=files, from_text=True)
    for field, value in files.items():
        if value.startswith(assets.REMOTE):
            faults += reference_faults(operation, field, value)
        elif not Path(value).is_file():
            faults.append(Fault(field=field, code="no_file", message=f"there is no file {value}"))
        else:
            faults += image_faults(operation, field, Path(value))
    if faults:
        raise InvalidJob(faults)
    uploads = assets.Uploads(
        lambda path: assets.add_asset(home.database, home.storage, home.project_id, path)
    )
    references = {field: uploads.reference(value) for field, value in files.items()}
    policy = policy_of(home.settings)
    return intake.NewJob(
        operation=name,
        params=cleaned,
        inputs=keep_inputs(home.database, home.storage, home.project_id, references, policy),
        priority=priority,
        on_uncertain=home.settings.darkroom_on_uncertain,
    )


def insert(home: Home, job: intake.NewJob) -> str:
    """Let the job in, and wake the dispatcher."""
    now = home.database.now()
    with home.database.transaction() as db:
        if faults := asset_faults(db, home.project_id, job):
            raise InvalidJob(faults)
        (job_id,) = intake.submit(db, [job], now, project_id=home.project_id)
    if home.settings.redis_url is not None:
        nudge(connect(home.settings.redis_url))
    return job_id


def wait_for(home: Home, job_id: str) -> JobState:
    """Until the job has ended or is held, however often the database is away meanwhile."""
    while True:
        try:
            with home.database.reading() as db:
                state = JobState(history.get_job(db, home.project_id, job_id).state)
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
        else:
            if state in FINAL or state == JobState.HELD:
                return state
        time.sleep(LOOK_SECONDS)


def tell(home: Home, job_id: str, *, as_json: bool) -> None:
    """Show one job."""
    with home.database.reading() as db:
        job = history.get_job(db, home.project_id, job_id)
        outputs = history.outputs_of(db, [job_id]).get(job_id, [])
        forecast = Forecaster(home.settings).job(db, job, home.database.now())
    lines = [line(job)]
    if forecast.position:
        until = f", {prospect(home, forecast)}" if forecast.eta else ""
        lines.append(f"  number {forecast.position:,} of the project's queue{until}")
    for output in outputs:
        size = f"{output.width}x{output.height}" if output.width else f"{output.bytes:,} bytes"
        lines.append(f"  {output.key}  {output.content_type}  {size}  sha256 {output.sha256[:12]}")
    if job.error:
        lines.append(f"  {job.error['code']}: {job.error['message']}")
    say(job_public(job, outputs, forecast), *lines, as_json=as_json)


def prospect(home: Home, forecast: JobForecast) -> str:
    """When a job that may be started will have ended, if there is anybody to start it."""
    if not is_worked(home.settings):
        return "and no worker runs: `darkroom up` starts one, and `submit --wait` brings its own"
    return f"ends about {forecast.eta:%Y-%m-%d %H:%M:%S} UTC"


@commands.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="Only these, for example failed.")] = None,
    batch: Annotated[str | None, typer.Option(help="Of this batch, by name or id.")] = None,
    operation: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    uncertain: Annotated[bool, typer.Option("--uncertain", help="Held for a decision.")] = False,
    lost: Annotated[bool, typer.Option("--lost", help="A paid call lost its answer.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List the newest jobs."""
    with open_home() as home, home.database.reading() as db:
        found = history.list_jobs(
            db,
            home.project_id,
            states=[known_state(state)] if state else (),
            held_for="uncertain" if uncertain else None,
            batch_id=get_batch(db, home.project_id, batch).id if batch else None,
            operation=find_operation(operation).name if operation else None,
            is_lost=lost,
            limit=limit,
        )
        outputs = history.outputs_of(db, [job.id for job in found])
    shown = [job_public(job, outputs.get(job.id, [])) for job in found]
    say_list(shown, map(line, found), as_json=as_json)


@commands.command("show")
def show(job: str, as_json: AsJson = False) -> None:
    """Show one job."""
    with open_home() as home:
        tell(home, job, as_json=as_json)


@commands.command("cancel")
def cancel(job: str, as_json: AsJson = False) -> None:
    """Stop a job that was not sent yet."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            desk.cancel(db, home.project_id, job, now)
        tell(home, job, as_json=as_json)


@commands.command("retry")
def retry(job: str, as_json: AsJson = False) -> None:
    """Open a failed, canceled or skipped job again."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            desk.retry(db, home.project_id, job, now)
        tell(home, job, as_json=as_json)


@commands.command("front")
def front(job: str, as_json: AsJson = False) -> None:
    """Start a queued job before all others of the project with its priority."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            desk.front(db, home.project_id, job, now)
        tell(home, job, as_json=as_json)


def resolve(
    job: str,
    resubmit: Annotated[bool, typer.Option("--resubmit", help="Pay again.")] = False,
    give_up: Annotated[bool, typer.Option("--give-up", help="Fail it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide about a job whose paid call was lost."""
    if resubmit == give_up:
        raise Conflict("say either --resubmit or --give-up")
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            decision: Any = "resubmit" if resubmit else "give-up"
            desk.resolve(db, home.project_id, job, now, decision=decision)
        tell(home, job, as_json=as_json)


def explain(job: str, as_json: AsJson = False) -> None:
    """Tell a job's whole story."""
    with open_home() as home, home.database.reading() as db:
        found = history.get_job(db, home.project_id, job)
        events = history.events_of(db, job)
        tries = history.attempts_of(db, job)
    lines = [line(found), *map(event_line, events), *map(attempt_line, tries)]
    if found.held_for == "uncertain":
        mend = f"  to pay again: `darkroom resolve {job} --resubmit`; to fail it: `--give-up`"
        lines.append(mend)
    say(history_public(events, tries), *lines, as_json=as_json)


def event_line(event: Any) -> str:
    """A change of a job in one line."""
    charged = f"  ({credits_of(event.charged_milli)} credits)" if event.charged_milli else ""
    is_move = event.origin not in {None, event.target}
    way = f"{event.origin} → {event.target}" if is_move else event.target
    note = f"  {event.note}" if event.note else ""
    return f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.verb:12} {way}{note}{charged}"


def attempt_line(attempt: Any) -> str:
    """A try at the paid call in one line."""
    fate = fate_of(attempt)
    doubt = ": it may have been paid" if fate == "uncertain" else ""
    return f"  attempt {attempt.number} with {attempt.credential_id}: {fate}{doubt}"


def known_state(text: str) -> JobState:
    """A state by its name."""
    try:
        return JobState(text)
    except ValueError:
        names = ", ".join(JobState)
        raise typer.BadParameter(f"is one of {names}", param_hint="--state") from None


def line(job: Any) -> str:
    """A job in one line."""
    held = f" ({job.held_for})" if job.held_for else ""
    prompt = str(job.params.get("prompt") or job.params.get("path") or "")
    short = prompt if len(prompt) <= 48 else prompt[:47] + "…"
    return (
        f"{job.id}  {job.state + held:12}  {job.operation:24} "
        f"{credits_of(job.charged_milli):>6} cr  {short}"
    )
