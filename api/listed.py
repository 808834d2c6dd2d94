"""A batch as it is asked for: with its jobs in a list, or empty, for rows that follow."""

from api.bodies import BatchBody
from api.parts import Parts
from api.problems import InvalidRequest
from api.rows import Common, Report
from jobs.batches import NewBatch, lock_batch
from jobs.catalog.operation import MILLI
from jobs.errors import Fault
from jobs.idempotency import fingerprint_of
from jobs.ingest import add_rows, open_once, start
from jobs.keys import Caller
from jobs.models import new_id
from jobs.queue.intake import NewJob, draft


def open_empty(parts: Parts, project_id: str, body: BatchBody) -> str:
    """A batch whose rows follow; its id."""
    batch_id, _ = open_once(parts.database, wanted(parts, body), project_id=project_id)
    return batch_id


def let_list_in(parts: Parts, caller: Caller, body: BatchBody) -> tuple[str, Report]:
    """A batch that is started with all of its jobs that have no faults; raises InvalidRequest if
    none is left. The same body again finds the same batch, and ends what was cut off."""
    new, project_id = wanted(parts, body), caller.project_id
    common = Common(project_id, new.on_uncertain, body.common, caller.limits)
    jobs, report = sort_out(parts, common, body.jobs or [])
    if not jobs:
        raise InvalidRequest(located(report))
    batch_id, _ = open_once(parts.database, new, project_id=project_id)
    now = parts.database.now()
    drafts = [draft(job, now, project_id, batch_id) for job in jobs]
    with parts.database.transaction() as db:
        if lock_batch(db, project_id, batch_id).loaded_at is None:
            for row, faults in add_rows(db, project_id, batch_id, drafts, now).items():
                report.refuse(row, faults)
            common.check_limits(db, batch_id)
    for _ in start(parts.database, project_id, batch_id):
        parts.nudger.nudge()
    return batch_id, report


def wanted(parts: Parts, body: BatchBody) -> NewBatch:
    """The batch that the body asks for; one without a name is always another one."""
    if faults := parts.policy.webhook_faults(body.webhook_url):
        raise InvalidRequest(faults)
    name = body.name or new_id()
    return NewBatch(
        name=name,
        fingerprint=fingerprint_of(body.model_dump(mode="json")),
        size=0,
        on_uncertain=body.on_uncertain or parts.settings.darkroom_on_uncertain,
        about={"defaults": body.common},
        budget_milli=None if body.budget is None else int(body.budget * MILLI),
        priority=body.priority,
        webhook_url=body.webhook_url,
    )


def sort_out(parts: Parts, common: Common, raws: list[object]) -> tuple[list[NewJob], Report]:
    """The jobs of a list, and a report with the faults of those that are none."""
    jobs, report = [], Report(rows=len(raws))
    for row, raw in enumerate(raws):
        job = common.job_of(parts, row, raw)
        if isinstance(job, NewJob):
            jobs.append(job)
        else:
            report.refuse(row, job)
    return jobs, report


def located(report: Report) -> list[Fault]:
    """The report's faults as faults of the body."""
    return [
        Fault(
            field=f"jobs[{error['row']}].{fault['field']}".rstrip("."),
            code=fault["code"],
            message=fault["message"],
        )
        for error in report.errors
        for fault in error["faults"]
    ]
