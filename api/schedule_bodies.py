"""A schedule as callers send it -> a checked one, or all of its faults with their paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from api.bodies import EXAMPLE, BatchBody, Body, JobBody, Moment, storable_text
from api.flow_bodies import faults_of, within
from api.problems import InvalidRequest
from api.rows import mixed
from jobs.catalog.operation import MILLI
from jobs.db import Database
from jobs.errors import Fault, InvalidJob
from jobs.inputs import Policy, keep_inputs
from jobs.limits import NO_LIMITS, Limits, check_size
from jobs.queue.intake import NewJob
from jobs.schedules.clock import cron_fault, timezone_fault
from jobs.schedules.firing import Overlap
from jobs.schedules.plan import MOST_JOBS, BatchPlan, Plan
from jobs.schedules.store import NewSchedule
from jobs.settings import OnUncertain
from jobs.storage.protocol import Storage
from jobs.submission import faults_by_job

#: What a job of a schedule has no use for: each run comes at its own time.
TIMES = ("run_at", "expires_at", "depends_on")


def known_cron(value: str) -> str:
    """Refuse what is no cron expression."""
    if (why := cron_fault(value)) is not None:
        raise ValueError(why)
    return value


def known_timezone(value: str) -> str:
    """Refuse what is no time zone."""
    if (why := timezone_fault(value)) is not None:
        raise ValueError(why)
    return value


Cron = Annotated[str, AfterValidator(known_cron), Field(max_length=200)]
Timezone = Annotated[str, AfterValidator(known_timezone), Field(max_length=64)]
Name = Annotated[str, AfterValidator(storable_text), Field(min_length=1, max_length=150)]


class ScheduleBody(Body):
    """A job or a batch, and when it is to be submitted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "every morning",
                    "cron": "0 7 * * *",
                    "timezone": "Europe/Berlin",
                    "overlap": "skip",
                    "template": EXAMPLE,
                }
            ]
        }
    )

    name: Name | None = None
    cron: Cron = Field(description="Minute, hour, day of the month, month, day of the week.")
    timezone: Timezone = Field(default="UTC", description="For example Europe/Berlin.")
    overlap: Overlap = Field(
        default=Overlap.SKIP, description="What happens when the last run is not over."
    )
    template: dict[str, Any] = Field(
        description="As for POST /v1/jobs, or, with a list of `jobs`, as for POST /v1/batches."
    )
    enabled: bool = True
    start_at: Moment | None = Field(default=None, description="No run before.")
    end_at: Moment | None = Field(default=None, description="No run after.")

    @model_validator(mode="after")
    def check_the_times(self) -> Self:
        """Refuse an end before the start."""
        if self.start_at and self.end_at and self.end_at <= self.start_at:
            raise ValueError("end_at lies before start_at")
        return self


def new_schedule(body: ScheduleBody, plan: Plan, now: datetime) -> NewSchedule:
    """The schedule that is to be made."""
    return NewSchedule(
        name=body.name,
        cron=body.cron,
        timezone=body.timezone,
        overlap=body.overlap,
        template=body.template,
        plan=plan.as_json(),
        start_at=body.start_at,
        end_at=body.end_at,
        paused_at=None if body.enabled else now,
    )


class ScheduleChange(Body):
    """What is to be changed of a schedule; what is not named stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": False}]})

    name: Name | None = None
    cron: Cron = ""
    timezone: Timezone = ""
    overlap: Overlap = Overlap.SKIP
    template: dict[str, Any] = Field(default={})
    enabled: bool = True
    start_at: Moment | None = None
    end_at: Moment | None = None

    @model_validator(mode="after")
    def check_something_is_named(self) -> Self:
        """Refuse a change that changes nothing."""
        if not self.model_fields_set:
            raise ValueError(f"names nothing to change: {', '.join(type(self).model_fields)}")
        return self


@dataclass(frozen=True)
class Planner:
    """What templates are read with."""

    database: Database
    storage: Storage
    policy: Policy
    project_id: str
    on_uncertain: OnUncertain
    limits: Limits = NO_LIMITS

    def plan(self, template: Mapping[str, Any]) -> Plan:
        """The template as each run lets it in; raises InvalidRequest with all of its faults, and
        TooManyRows."""
        if "jobs" in template:
            return self._batch(template)
        job = self._job(template, "template", None, self.on_uncertain)
        if isinstance(job, list):
            raise InvalidRequest(job)
        self._look_up([job], ["template"])
        return Plan([job])

    def _batch(self, template: Mapping[str, Any]) -> Plan:
        try:
            body = BatchBody.model_validate(template)
        except ValidationError as error:
            raise InvalidRequest(within("template", faults_of(error))) from error
        if faults := self.policy.webhook_faults(body.webhook_url):
            raise InvalidRequest(within("template", faults))
        raws = body.jobs or []
        if not 1 <= len(raws) <= MOST_JOBS:
            message = f"is a list of 1 to {MOST_JOBS} jobs; for more, stream a batch"
            raise InvalidRequest([Fault(field="template.jobs", code="bad_length", message=message)])
        check_size(len(raws), self.limits)
        policy = body.on_uncertain or self.on_uncertain
        places = [f"template.jobs[{row}]" for row in range(len(raws))]
        jobs: list[NewJob] = []
        for row, raw in enumerate(raws):
            job = self._job(mixed(body.common, raw), places[row], row, policy)
            if isinstance(job, NewJob):
                jobs.append(job)
            else:
                faults += job
        if faults:
            raise InvalidRequest(faults)
        self._look_up(jobs, places)
        batch = BatchPlan(
            on_uncertain=policy,
            budget_milli=None if body.budget is None else int(body.budget * MILLI),
            priority=body.priority,
            webhook_url=body.webhook_url,
            defaults=body.common,
        )
        return Plan(jobs, batch)

    def _job(
        self, raw: Any, where: str, row: int | None, policy: OnUncertain
    ) -> NewJob | list[Fault]:
        faults = time_faults(raw)
        try:
            body = JobBody.model_validate(raw)
        except ValidationError as error:
            return within(where, [*faults, *faults_of(error)])
        faults += self.policy.webhook_faults(body.webhook_url)
        if faults:
            return within(where, faults)
        try:
            kept = keep_inputs(
                self.database, self.storage, self.project_id, body.inputs, self.policy
            )
        except InvalidJob as error:
            return within(where, error.faults)
        return body.as_new_job(kept, policy, row=row)

    def _look_up(self, jobs: list[NewJob], places: list[str]) -> None:
        with self.database.reading() as db:
            found = faults_by_job(db, self.project_id, jobs)
        faults = [fault for i, some in found.items() for fault in within(places[i], some)]
        if faults:
            raise InvalidRequest(faults)


def time_faults(raw: Any) -> list[Fault]:
    """What a template says that only one job can mean."""
    if not isinstance(raw, Mapping):
        return []
    message = "has no place in a schedule: each run comes at its own time"
    return [
        Fault(field=name, code="not_in_a_schedule", message=message)
        for name in TIMES
        if raw.get(name)
    ]
