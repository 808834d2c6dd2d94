"""Flows in the database: let in, looked at, canceled, retried."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from jobs.errors import Conflict, NotFound
from jobs.flows.steps import Step, tied
from jobs.models import Job, new_id, table
from jobs.models_flows import Flow, FlowStep
from jobs.queue import desk
from jobs.queue.intake import submit
from jobs.queue.needs import needs_of

FLOW = table(Flow)
STEP = table(FlowStep)
JOB = table(Job)


@dataclass(frozen=True)
class Found:
    """A flow with its jobs."""

    flow: Row[Any]
    #: By the names of the steps, each behind those that it needs.
    jobs: dict[str, Row[Any]]
    #: The steps that each step needs.
    needs: dict[str, list[str]]


def let_in(
    db: Connection, name: str | None, steps: Sequence[Step], now: datetime, *, project_id: str
) -> str:
    """Let all jobs of a flow in; returns the flow's id."""
    jobs = tied(steps)
    submit(db, list(jobs.values()), now, project_id=project_id)
    flow_id = new_id()
    row = {"id": flow_id, "project_id": project_id, "name": name, "created_at": now}
    db.execute(insert(FLOW), row)
    rows = [
        {"flow_id": flow_id, "name": step, "place": place, "job_id": job.id}
        for place, (step, job) in enumerate(jobs.items())
    ]
    db.execute(insert(STEP), rows)
    return flow_id


def find(db: Connection, project_id: str, flow_id: str) -> Found:
    """A flow; raises NotFound."""
    flow = db.execute(
        select(FLOW).where(FLOW.c.id == flow_id, FLOW.c.project_id == project_id)
    ).one_or_none()
    if flow is None:
        raise NotFound(f"there is no flow {flow_id}")
    return _with_jobs(db, [flow])[0]


def list_flows(
    db: Connection, project_id: str, *, before: str | None = None, limit: int = 20
) -> list[Found]:
    """The newest flows; `before` is the last id of the page before."""
    wanted = select(FLOW).where(FLOW.c.project_id == project_id)
    if before is not None:
        wanted = wanted.where(FLOW.c.id < before)
    return _with_jobs(db, db.execute(wanted.order_by(FLOW.c.id.desc()).limit(limit)).all())


def _with_jobs(db: Connection, flows: Sequence[Row[Any]]) -> list[Found]:
    rows = db.execute(
        select(JOB, STEP.c.flow_id, STEP.c.name.label("step"))
        .join(STEP, STEP.c.job_id == JOB.c.id)
        .where(STEP.c.flow_id.in_([flow.id for flow in flows]))
        .order_by(STEP.c.flow_id, STEP.c.place)
    ).all()
    names = {row.id: row.step for row in rows}
    needs = needs_of(db, list(names))
    return [
        Found(
            flow,
            {row.step: row for row in rows if row.flow_id == flow.id},
            {
                row.step: sorted(names[i] for i in needs.get(row.id, ()) if i in names)
                for row in rows
                if row.flow_id == flow.id
            },
        )
        for flow in flows
    ]


def cancel(db: Connection, project_id: str, flow_id: str, now: datetime) -> None:
    """Cancel what was not sent. What was sent finishes, for it is paid, and is not sent again."""
    # Whatever waits goes first, so that nothing is skipped for what is canceled after it.
    for job in reversed(find(db, project_id, flow_id).jobs.values()):
        with suppress(Conflict):
            desk.call_off(db, project_id, job.id, now)


def retry(db: Connection, project_id: str, flow_id: str, now: datetime) -> None:
    """Open what ended without success again, as far as what it needs can succeed."""
    for job in find(db, project_id, flow_id).jobs.values():
        with suppress(Conflict):
            desk.retry(db, project_id, job.id, now)
