"""What each run of a schedule lets in, checked once and kept as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from jobs.catalog.loader import operation as find_operation
from jobs.queue.intake import NewJob
from jobs.settings import OnUncertain

#: Of a batch: they are let in by one transaction, for which others wait.
MOST_JOBS = 1000
#: What of a job a template has; its times are the schedule's.
KEPT = ("operation", "params", "inputs", "labels", "row", "priority", "on_uncertain", "webhook_url")


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """What the batch of a run has besides its jobs."""

    on_uncertain: OnUncertain
    budget_milli: int | None = None
    priority: int = 0
    webhook_url: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """One job, or a batch of them."""

    jobs: Sequence[NewJob]
    batch: BatchPlan | None = None

    @property
    def credits_milli(self) -> int:
        """What all of it costs, in thousandths of a credit."""
        return sum(find_operation(job.operation).price_of(job.params) for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """For the schedule's row."""
        jobs = [{name: getattr(job, name) for name in KEPT} for job in self.jobs]
        return {"jobs": jobs, "batch": None if self.batch is None else vars(self.batch)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Back from there."""
        batch = None if kept["batch"] is None else BatchPlan(**kept["batch"])
        return cls([NewJob(**job) for job in kept["jobs"]], batch)
