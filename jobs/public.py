"""A job and a batch as the outside sees them: on the command line and in the API alike."""

from collections.abc import Mapping, Sequence
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


def batch_public(batch: Row[Any], counts: Counts) -> dict[str, Any]:
    """The public form of a batch."""
    about: Mapping[str, Any] = batch.about
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
        "paused_at": when(batch.paused_at),
        "canceled_at": when(batch.canceled_at),
        "created_at": when(batch.created_at),
    }


def when(time: Any) -> str | None:
    """A time as text, in UTC."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")
