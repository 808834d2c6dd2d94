"""A job and a batch as the outside sees them: on the command line and in the API alike."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from jobs.catalog.operation import MILLI
from jobs.tallies import Counts


def credits_of(milli: int | None) -> float | int | None:
    """Thousandths as credits: a whole number where it is one."""
    if milli is None:
        return None
    whole, rest = divmod(milli, MILLI)
    return whole if rest == 0 else float(Decimal(milli) / MILLI)


def job_public(job: Row[Any], outputs: Sequence[Row[Any]] = ()) -> dict[str, Any]:
    """The public form of a job."""
    return {
        "id": job.id,
        "name": job.name,
        "operation": job.operation,
        "state": job.state,
        "held_for": job.held_for,
        "priority": job.priority,
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


def attempt_public(attempt: Row[Any]) -> dict[str, Any]:
    """The public form of one try at the paid call."""
    fates = (fate for fate, fact in FATES.items() if getattr(attempt, fact) is not None)
    return {
        "number": attempt.number,
        "credential_id": attempt.credential_id,
        "fate": next(fates, "open"),
        "begun_at": when(attempt.begun_at),
        "http_status": attempt.http_status,
        "result_id": attempt.result_id,
        "note": attempt.note,
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
        "stopped_at": when(credential.stopped_at),
        "stop_reason": credential.stop_reason,
    }


def batch_public(
    batch: Row[Any], counts: Counts, *, uncertain: int = 0, now: datetime | None = None
) -> dict[str, Any]:
    """The public form of a batch; with `now` it says how fast it goes and how long it will.

    `uncertain` is the number of paid calls whose answers were lost.
    """
    about: Mapping[str, Any] = batch.about
    rate = rate_of(batch, counts, now) if now is not None else None
    left = counts.total - counts.finished
    return {
        "id": batch.id,
        "name": batch.name,
        "size": batch.size,
        "counts": {str(state): n for state, n in counts.by_state.items()},
        "credits": {
            "estimated": credits_of(about.get("credits_milli")),
            "spent": credits_of(counts.charged_milli),
            "budget": credits_of(batch.budget_milli),
        },
        "uncertain": uncertain,
        "rate": rate,
        "eta_seconds": round(left / rate) if rate and not batch.paused_at else None,
        "paused_at": when(batch.paused_at),
        "canceled_at": when(batch.canceled_at),
        "started_at": when(batch.loaded_at),
        "created_at": when(batch.created_at),
    }


def rate_of(batch: Row[Any], counts: Counts, now: datetime) -> float | None:
    """Jobs that ended in a second, in the mean since the start; None before the first."""
    seconds = (now - (batch.loaded_at or batch.created_at)).total_seconds()
    return round(counts.finished / seconds, 3) if counts.finished and seconds > 0 else None


def when(time: Any) -> str | None:
    """A time as text, in UTC."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
