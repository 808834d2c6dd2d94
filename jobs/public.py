"""A job and a batch as the outside sees them: on the command line and in the API alike."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row

from jobs.catalog.operation import MILLI
from jobs.figures import Losses
from jobs.forecast import BatchForecast, JobForecast
from jobs.tallies import Counts

UNKNOWN_JOB, UNKNOWN_BATCH = JobForecast(), BatchForecast()
NO_LOSSES = Losses()

#: What no admission says of a job, for nothing has happened to it yet.
UNTOUCHED = {
    "attempts": 0,
    "finish_reason": None,
    "charged_milli": 0,
    "started_at": None,
    "finished_at": None,
}


def credits_of(milli: int | None) -> float | int | None:
    """Thousandths as credits: a whole number where it is one."""
    if milli is None:
        return None
    whole, rest = divmod(milli, MILLI)
    return whole if rest == 0 else float(Decimal(milli) / MILLI)


def new_job_public(admitted: Mapping[str, Any]) -> dict[str, Any]:
    """The public form of a job that was let in just now, without a look at the database."""
    return job_public(SimpleNamespace(**UNTOUCHED, **admitted))


def job_public(
    job: Row[Any] | SimpleNamespace,
    outputs: Sequence[Row[Any]] = (),
    forecast: JobForecast = UNKNOWN_JOB,
) -> dict[str, Any]:
    """The public form of a job."""
    return {
        "id": job.id,
        "name": job.name,
        "operation": job.operation,
        "state": job.state,
        "held_for": job.held_for,
        "priority": job.priority,
        "position": forecast.position,
        "eta": when(forecast.eta),
        "params": job.params,
        "inputs": job.inputs,
        "batch_id": job.batch_id,
        "row": job.row,
        "attempts": job.attempts,
        "seed": job.seed,
        "finish_reason": job.finish_reason,
        "credits": {
            "estimated": credits_of(job.estimated_milli),
            "charged": credits_of(job.charged_milli),
        },
        "error": job.error,
        "outputs": [output_public(job.id, output) for output in outputs],
        "metadata": job.labels,
        "created_at": when(job.created_at),
        "started_at": when(job.started_at),
        "finished_at": when(job.finished_at),
    }


def output_public(job_id: str, output: Row[Any]) -> dict[str, Any]:
    """The public form of an output."""
    return {
        "index": output.number,
        "url": f"/v1/jobs/{job_id}/outputs/{output.number}",
        "key": output.key,
        "content_type": output.content_type,
        "bytes": output.bytes,
        "sha256": output.sha256,
        "width": output.width,
        "height": output.height,
        "seed": output.seed,
        "finish_reason": output.finish_reason,
    }


#: How an attempt ended, the strongest fact first.
FATES = {
    "expired": "expired_at",
    "answered": "received_at",
    "accepted": "accepted_at",
    "refused": "refused_at",
    "uncertain": "uncertain_at",
}


def event_public(event: Row[Any]) -> dict[str, Any]:
    """The public form of one change of a job."""
    return {
        "id": event.id,
        "job_id": event.job_id,
        "batch_id": event.batch_id,
        "at": when(event.at),
        "verb": event.verb,
        "origin": event.origin,
        "state": event.target,
        "credits": credits_of(event.charged_milli),
        "note": event.note,
    }


def fate_of(attempt: Row[Any]) -> str:
    """One word for how an attempt ended, `open` if nothing is known."""
    fates = (fate for fate, fact in FATES.items() if getattr(attempt, fact) is not None)
    return next(fates, "open")


def attempt_public(attempt: Row[Any]) -> dict[str, Any]:
    """The public form of one try at the paid call."""
    return {
        "number": attempt.number,
        "credential_id": attempt.credential_id,
        "fate": fate_of(attempt),
        "begun_at": when(attempt.begun_at),
        "result_id": attempt.result_id,
        "note": attempt.note,
    }


def history_public(
    events: Sequence[Row[Any]], attempts: Sequence[Row[Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The public form of a job's story."""
    return {
        "events": [event_public(event) for event in events],
        "attempts": [attempt_public(attempt) for attempt in attempts],
    }


def asset_public(asset: Row[Any]) -> dict[str, Any]:
    """The public form of an asset."""
    return {
        "id": asset.id,
        "sha256": asset.sha256,
        "content_type": asset.content_type,
        "bytes": asset.bytes,
        "width": asset.width,
        "height": asset.height,
        "created_at": when(asset.created_at),
    }


def credential_public(credential: Row[Any]) -> dict[str, Any]:
    """The public form of a credential: never its key."""
    return {
        "id": credential.id,
        "name": credential.name,
        "credits": credits_of(credential.balance_milli),
        "checked_at": when(credential.checked_at),
        "paused_at": when(credential.paused_at),
        "stopped_at": when(credential.stopped_at),
        "stop_reason": credential.stop_reason,
    }


def batch_public(
    batch: Row[Any],
    counts: Counts,
    *,
    losses: Losses = NO_LOSSES,
    forecast: BatchForecast = UNKNOWN_BATCH,
) -> dict[str, Any]:
    """The public form of a batch."""
    about: Mapping[str, Any] = batch.about
    left = forecast.left if forecast.eta is not None else None
    return {
        "id": batch.id,
        "name": batch.name,
        "size": batch.size,
        "counts": {str(state): n for state, n in counts.by_state.items()},
        "credits": {
            "estimated": credits_of(about.get("credits_milli")),
            "spent": credits_of(counts.charged_milli),
            "lost_at_most": credits_of(losses.at_most_milli),
            "budget": credits_of(batch.budget_milli),
        },
        "uncertain": losses.calls,
        "priority": batch.priority,
        "weight": batch.weight,
        "max_in_flight": batch.max_in_flight,
        "rate": forecast.rate,
        "eta_seconds": None if left is None else round(left.total_seconds()),
        "eta": when(forecast.eta),
        "paused_by": list(forecast.paused_by),
        "under_way": batch.bulk_verb,
        "paused_at": when(batch.paused_at),
        "fronted_at": when(batch.fronted_at),
        "canceled_at": when(batch.canceled_at),
        "started_at": when(batch.loaded_at),
        "created_at": when(batch.created_at),
    }


def when(time: Any) -> str | None:
    """A time as text, in UTC."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
