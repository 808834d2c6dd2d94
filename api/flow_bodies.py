"""A flow as callers send it -> checked steps, or all of its faults with their paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from api.bodies import EXAMPLE, MAX_NEEDS, Body, JobBody, storable_text
from api.problems import InvalidRequest, fault_of
from jobs.db import Database
from jobs.errors import Fault, InvalidJob
from jobs.flows.steps import MOST_STEPS, NAME, Step, Tie, parse_tie, step_faults
from jobs.inputs import Policy, keep_inputs
from jobs.settings import OnUncertain
from jobs.storage.protocol import Storage
from jobs.submission import faults_by_job

B = TypeVar("B", bound=Body)

#: Stands for another step's output while a step is checked like any job.
SOMETHING = "0" * 26

StepName = Annotated[str, Field(pattern=f"^{NAME}$")]


class FlowBody(Body):
    """Jobs that use each other's outputs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "lighthouse, larger",
                    "steps": {
                        "draw": EXAMPLE,
                        "enlarge": {"operation": "upscale/fast", "inputs": {"image": "$draw"}},
                    },
                }
            ]
        }
    )

    name: Annotated[str, AfterValidator(storable_text)] | None = Field(
        default=None, min_length=1, max_length=200
    )
    steps: dict[StepName, Any] = Field(
        min_length=1,
        max_length=MOST_STEPS,
        description="Jobs by names. An input may be `$other` or `$other#1`: that step's output.",
    )


@dataclass(frozen=True)
class Reader:
    """What steps are read with."""

    database: Database
    storage: Storage
    policy: Policy
    project_id: str
    on_uncertain: OnUncertain

    def steps(self, body: FlowBody) -> list[Step]:
        """All steps; raises InvalidRequest with the faults of all."""
        names = list(body.steps)
        steps: list[Step] = []
        faults: list[Fault] = []
        for name, raw in body.steps.items():
            try:
                steps.append(self._step(name, raw))
            except InvalidRequest as error:
                faults += within(f"steps.{name}", error.faults)
        faults += step_faults(steps, names)
        if faults:
            raise InvalidRequest(faults)
        return steps

    def _step(self, name: str, raw: Any) -> Step:
        ties, job, faults = untied(raw)
        after, more = read_after(raw)
        faults += more
        try:
            body = JobBody.model_validate(job)
        except ValidationError as error:
            raise InvalidRequest(faults + faults_of(error)) from error
        faults += self.policy.webhook_faults(body.webhook_url)
        if faults:
            raise InvalidRequest(faults)
        outside = {name: text for name, text in body.inputs.items() if name not in ties}
        try:
            kept = keep_inputs(self.database, self.storage, self.project_id, outside, self.policy)
        except InvalidJob as error:
            raise InvalidRequest(error.faults) from error
        new = body.as_new_job(kept, self.on_uncertain)
        return Step(name=name, job=new, ties=ties, after=after)


def untied(raw: Any) -> tuple[dict[str, Tie], Any, list[Fault]]:
    """What a step takes from others, the step without that, and what is wrong with it."""
    if not isinstance(raw, Mapping):
        return {}, raw, []
    job = {name: value for name, value in raw.items() if name != "depends_on"}
    inputs = job.get("inputs")
    if not isinstance(inputs, Mapping):
        return {}, job, []
    ties, faults = {}, []
    for name, text in inputs.items():
        if not (isinstance(text, str) and text.startswith("$")):
            continue
        tie = parse_tie(text)
        if tie is None:
            message = "is no step's output; write $step or $step#1"
            faults.append(Fault(field=f"inputs.{name}", code="bad_reference", message=message))
        else:
            ties[str(name)] = tie
    replaced = {
        name: SOMETHING if isinstance(text, str) and text.startswith("$") else text
        for name, text in inputs.items()
    }
    return ties, {**job, "inputs": replaced}, faults


def read_after(raw: Any) -> tuple[tuple[str, ...], list[Fault]]:
    """The steps that a step names in `depends_on`."""
    said = raw.get("depends_on", []) if isinstance(raw, Mapping) else []
    if isinstance(said, list) and len(said) <= MAX_NEEDS and all(isinstance(s, str) for s in said):
        return tuple(said), []
    message = f"is a list of up to {MAX_NEEDS} names of steps"
    return (), [Fault(field="depends_on", code="list_type", message=message)]


def checked(kind: type[B], raw: Any) -> B:
    """A body that did not come over HTTP; raises InvalidRequest."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise InvalidRequest(faults_of(error)) from error


def outside_faults(db: Connection, project_id: str, steps: list[Step]) -> list[Fault]:
    """What is wrong with inputs that come from outside of the flow."""
    found = faults_by_job(db, project_id, [step.job for step in steps])
    return [
        fault
        for place, faults in found.items()
        for fault in within(f"steps.{steps[place].name}", faults)
    ]


def faults_of(error: ValidationError) -> list[Fault]:
    """Pydantic's report as faults of the body."""
    items = error.errors(include_url=False)
    return [fault_of({**item, "loc": ("body", *item["loc"])}) for item in items]


def within(path: str, faults: Any) -> list[Fault]:
    """The same faults, seen from a body that has these things at `path`."""
    return [
        Fault(field=f"{path}.{fault.field}".rstrip("."), code=fault.code, message=fault.message)
        for fault in faults
    ]
