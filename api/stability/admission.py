"""An order -> a job: checked as a whole, its files kept as assets, let in once."""

from collections.abc import Iterator, Mapping
from typing import Any

from api.bodies import PRIORITY
from api.parts import Parts
from api.problems import InvalidRequest
from api.stability.order import Order
from jobs.assets import add_image
from jobs.catalog.images import image_faults
from jobs.catalog.storable import shown
from jobs.catalog.validate import clean
from jobs.errors import Fault, NotFound
from jobs.idempotency import fingerprint_of
from jobs.keys import Caller
from jobs.limits import check_open
from jobs.queue.intake import NewJob
from jobs.submission import asset_faults, let_in


def admit_order(parts: Parts, caller: Caller, order: Order, key: str | None) -> str:
    """The id of the order's job; raises InvalidRequest, NotFound, OtherBody and TooManyJobs."""
    project_id = caller.project_id
    params = checked(order)
    inputs = {
        name: "asset:" + add_image(parts.database, parts.storage, project_id, file)
        for name, file in order.files.items()
    }
    job = NewJob(
        operation=order.operation.name,
        params=params,
        inputs=inputs,
        labels=order.labels,
        priority=PRIORITY,
        on_uncertain=parts.settings.darkroom_on_uncertain,
    )
    told = {"operation": job.operation, "params": params, "inputs": inputs}
    now = parts.database.now()
    with parts.database.transaction() as db:
        if faults := asset_faults(db, project_id, job):
            raise InvalidRequest([as_sent(fault) for fault in faults])
        job_id, is_new = let_in(
            db, job, now, project_id=project_id, key=key, fingerprint=fingerprint_of(told)
        )
        if is_new:
            check_open(db, project_id, caller.limits)
    parts.nudger.nudge()
    return job_id


def checked(order: Order) -> dict[str, Any]:
    """The clean parameters of an order without a fault."""
    params, faults = clean(
        order.operation, order.params, files=order.files, from_text=order.from_text
    )
    if any(fault.field == "engine_id" for fault in faults):
        engine = shown(order.params.get("engine_id"))
        raise NotFound(f"The specified engine (ID {engine}) was not found.")
    faults = [*map(as_sent, faults), *file_faults(order), *sample_faults(order, params)]
    if faults:
        raise InvalidRequest(faults)
    return params


def file_faults(order: Order) -> Iterator[Fault]:
    """What the API would refuse about the files themselves."""
    for name, file in order.files.items():
        if order.operation.file(name) is not None:
            yield from image_faults(order.operation, name, file)


def sample_faults(order: Order, params: Mapping[str, Any]) -> Iterator[Fault]:
    """v1: an answer of bytes has room for one image."""
    if order.operation.is_v1 and not order.as_json and params.get("samples", 1) > 1:
        message = "may be greater than 1 only when the accept header is application/json"
        yield Fault(field="samples", code="invalid_samples", message=message)


def as_sent(fault: Fault) -> Fault:
    """The fault in words for one who sends a form, and knows neither inputs nor params."""
    words = {"is_a_file": "must be sent as a file", "not_a_file": "must not be sent as a file"}
    message = words.get(fault.code, fault.message)
    return Fault(field=fault.field.removeprefix("inputs."), code=fault.code, message=message)
