"""A flow as the outside sees it: on the command line and in the API alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from jobs.flows.store import Found
from jobs.public import job_public, when


def flow_public(found: Found, outputs: Mapping[str, Sequence[Row[Any]]]) -> dict[str, Any]:
    """The public form; `outputs` are by job."""
    return {
        "id": found.flow.id,
        "name": found.flow.name,
        "counts": dict(Counter(job.state for job in found.jobs.values())),
        "steps": {
            step: job_public(job, outputs.get(job.id, [])) for step, job in found.jobs.items()
        },
        "needs": found.needs,
        "created_at": when(found.flow.created_at),
    }
