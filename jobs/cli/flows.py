"""`darkroom flows`: submit, list, show, cancel and retry jobs that use each other's outputs."""

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from jobs import history
from jobs.cli.answer import AsJson, say, say_list
from jobs.cli.document import naming_faults, read_document
from jobs.cli.group import new_group
from jobs.cli.home import Home, open_home
from jobs.flows import store
from jobs.flows.public import flow_public
from jobs.inputs import policy_of
from jobs.limiter.permits import connect
from jobs.nudge import nudge

commands = new_group("Submit jobs that use each other's outputs; list, show, cancel or retry them.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(commands, name="flows")


@commands.command("list")
def list_flows(as_json: AsJson = False) -> None:
    """List the newest flows."""
    with open_home() as home, home.database.reading() as db:
        shown = [public(db, found) for found in store.list_flows(db, home.project_id)]
    say_list(shown, map(headline, shown), as_json=as_json)


@commands.command("submit")
def submit(
    file: Annotated[Path, typer.Argument(help="JSON or YAML, as for POST /v1/flows.")],
    as_json: AsJson = False,
) -> None:
    """Let all jobs of a flow in, or none."""
    with open_home() as home:
        flow_id = let_in(home, file)
        tell(home, flow_id, as_json=as_json)
    if home.settings.redis_url is not None:
        nudge(connect(home.settings.redis_url))


def let_in(home: Home, file: Path) -> str:
    """The id of the file's flow; raises InvalidManifest with every fault."""
    raw = read_document(file)
    # What callers may send is the interface's affair, and it takes a while to import.
    from api.flow_bodies import FlowBody, Reader, checked, outside_faults
    from api.problems import InvalidRequest

    policy = policy_of(home.settings)
    on_uncertain = home.settings.darkroom_on_uncertain
    reader = Reader(home.database, home.storage, policy, home.project_id, on_uncertain)
    with naming_faults(file):
        body = checked(FlowBody, raw)
        steps = reader.steps(body)
        now = home.database.now()
        with home.database.transaction() as db:
            if faults := outside_faults(db, home.project_id, steps):
                raise InvalidRequest(faults)
            return store.let_in(db, body.name, steps, now, project_id=home.project_id)


@commands.command("show")
def show(flow: str, as_json: AsJson = False) -> None:
    """Show one flow as a tree."""
    with open_home() as home:
        tell(home, flow, as_json=as_json)


@commands.command("cancel")
def cancel(flow: str, as_json: AsJson = False) -> None:
    """Cancel what was not sent yet."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.cancel(db, home.project_id, flow, now)
        tell(home, flow, as_json=as_json)


@commands.command("retry")
def retry(flow: str, as_json: AsJson = False) -> None:
    """Open its failed, canceled and skipped jobs again."""
    with open_home() as home:
        now = home.database.now()
        with home.database.transaction() as db:
            store.retry(db, home.project_id, flow, now)
        tell(home, flow, as_json=as_json)


def tell(home: Home, flow_id: str, *, as_json: bool) -> None:
    """Show one flow."""
    with home.database.reading() as db:
        shown = public(db, store.find(db, home.project_id, flow_id))
    say(shown, headline(shown), *tree(shown), as_json=as_json)


def public(db: Connection, found: store.Found) -> dict[str, Any]:
    """The public form of a flow."""
    return flow_public(found, history.outputs_of(db, [job.id for job in found.jobs.values()]))


def headline(flow: dict[str, Any]) -> str:
    """A flow in one line."""
    counts = ", ".join(f"{n} {state}" for state, n in flow["counts"].items())
    return "  ".join(part for part in (flow["id"], flow["name"], counts) if part)


def tree(flow: dict[str, Any]) -> list[str]:
    """Its steps, each below the last of those that it needs."""
    lines = []
    depth: dict[str, int] = {}
    for name in below(flow["needs"]):
        needs = flow["needs"][name]
        depth[name] = 1 + max((depth[needed] for needed in needs), default=0)
        job = flow["steps"][name]
        also = f"  needs {', '.join(needs)}" if len(needs) > 1 else ""
        why = f"  {job['error']['message']}" if job["error"] else ""
        indent = "  " * depth[name]
        lines.append(f"{indent}{name}  {job['operation']}  {job['state']}  {job['id']}{also}{why}")
    return lines


def below(needs: dict[str, list[str]]) -> list[str]:
    """The steps in the order of the tree: what needs a step follows it."""
    behind = list(needs)
    last_need = {
        name: max(some, key=behind.index) if some else None for name, some in needs.items()
    }
    found: list[str] = []
    # An explicit stack: a chain may be as long as a flow has steps.
    stack = [name for name in reversed(behind) if last_need[name] is None]
    while stack:
        name = stack.pop()
        found.append(name)
        stack += [child for child in reversed(behind) if last_need[child] == name]
    return found
