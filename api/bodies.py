"""What callers send. A body is checked as a whole, by its form and against the catalog at once."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from jobs.catalog.images import MAX_REQUEST_BYTES
from jobs.catalog.loader import operation as find_operation
from jobs.catalog.operation import MILLI, Operation
from jobs.catalog.storable import json_fault, text_fault
from jobs.catalog.validate import clean
from jobs.errors import Fault, InvalidJob
from jobs.inputs import reference_faults
from jobs.models import INTERACTIVE
from jobs.queue.intake import NewJob
from jobs.settings import OnUncertain

#: The column in the database is a 32-bit integer.
MAX_PRIORITY = 2**31 - 1
#: Heavier parties would keep others waiting for minutes.
MAX_WEIGHT = 1000
#: A job of its own goes before those of batches, as it does on the command line.
PRIORITY = INTERACTIVE
#: Jobs that one job may wait for.
MAX_NEEDS = 100
#: Of a job's metadata as JSON, so that rows stay small.
MAX_METADATA = 16 * 1024

EXAMPLE: dict[str, Any] = {
    "operation": "generate/core",
    "params": {"prompt": "a lighthouse at dusk", "aspect_ratio": "16:9", "output_format": "png"},
    "metadata": {"campaign": "autumn"},
}


def sane_time(value: datetime) -> datetime:
    """Refuse times that no database keeps in every zone."""
    if not 2000 <= value.year <= 9000:
        raise ValueError("lies outside of the years 2000 to 9000")
    return value


def storable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what the database cannot keep as JSON, or what is no small note any more."""
    if (why := json_fault(value)) is not None:
        raise ValueError(why)
    if len(str(value)) > MAX_METADATA:
        raise ValueError(f"is longer than {MAX_METADATA // 1024} KiB")
    return value


def storable_text(value: str) -> str:
    """Refuse what the database cannot keep as text."""
    if (why := text_fault(value)) is not None:
        raise ValueError(why)
    return value


Moment = Annotated[AwareDatetime, AfterValidator(sane_time)]
Metadata = Annotated[dict[str, Any], AfterValidator(storable)]
JobId = Annotated[str, Field(pattern="^[0-9a-z]{26}$")]
WebhookUrl = Annotated[str, Field(min_length=1, max_length=2000)]
Priority = Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, strict=True)]


class Body(BaseModel):
    """Base of what callers send: an unknown name is a fault, and nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobBody(Body):
    """A job as it is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    # Factories, since a default that can change is copied for each of a million rows.
    operation: str = Field(description="See GET /v1/operations.")
    params: dict[str, Any] = Field(default_factory=dict, description="The operation's parameters.")
    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="Asset ids, https://, s3://, job:<id>#<output>, or data: up to 1 MiB.",
    )
    priority: Priority = Field(default=PRIORITY, description="Higher is sooner.")
    run_at: Moment | None = Field(default=None, description="Not to be started before.")
    expires_at: Moment | None = Field(default=None, description="Not to be started after.")
    on_uncertain: OnUncertain | None = Field(
        default=None, description="What happens when the answer to the paid call is lost."
    )
    metadata: Metadata = Field(
        default_factory=dict, description="Yours; it comes back with the job."
    )
    depends_on: list[JobId] = Field(
        default_factory=list,
        max_length=MAX_NEEDS,
        description="Jobs that must have succeeded before.",
    )
    webhook_url: WebhookUrl | None = Field(default=None, description="Is told how it ends.")

    @model_validator(mode="wrap")
    @classmethod
    def check_against_the_catalog(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Collect the faults of the form and those of the operation."""
        params, found = checked_params(raw)
        try:
            body = handler(raw if params is None else {**raw, "params": params})
        except ValidationError as error:
            named = ", ".join(cls.model_fields)
            faults = [as_detail(told(item, named)) for item in error.errors(include_url=False)]
        else:
            if not found:
                return body
            faults = []
        raise ValidationError.from_exception_data(cls.__name__, [*faults, *found])

    def as_new_job(
        self, inputs: dict[str, str], on_uncertain: OnUncertain, *, row: int | None = None
    ) -> NewJob:
        """The job that is let in, with its inputs kept."""
        return NewJob(
            operation=self.operation,
            params=self.params,
            inputs=inputs,
            labels=self.metadata,
            row=row,
            priority=self.priority,
            on_uncertain=self.on_uncertain or on_uncertain,
            expires_at=self.expires_at,
            run_at=self.run_at,
            depends_on=tuple(self.depends_on),
            webhook_url=self.webhook_url,
        )


class Announcement(Body):
    """A file that will be sent to the bucket itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"filename": "portrait.png", "bytes": 48213, "sha256": "0" * 64}]
        }
    )

    filename: Annotated[str, AfterValidator(storable_text)] = Field(
        min_length=1, max_length=255, description="Its ending tells the type: png, jpg or webp."
    )
    bytes: int = Field(ge=1, le=MAX_REQUEST_BYTES, strict=True)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="In hex, lower case.")


class RetryBody(Body):
    """How a job is to be tried again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"params": {"prompt": "a lighthouse at dawn"}}]}
    )

    params: dict[str, Any] | None = Field(default=None, description="Instead of the old ones.")


class BatchBody(Body):
    """Many jobs under one name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "lighthouses",
                    "operation": "generate/core",
                    "defaults": {"params": {"aspect_ratio": "16:9"}},
                    "jobs": [{"params": {"prompt": "at dusk"}}, {"params": {"prompt": "at dawn"}}],
                    "budget": 10,
                }
            ]
        }
    )

    name: Annotated[str, AfterValidator(storable_text)] | None = Field(
        default=None, min_length=1, max_length=200, description="Unique in the project."
    )
    operation: str | None = Field(default=None, description="Of all jobs that name none.")
    defaults: Metadata = Field(default={}, description="What all jobs have in common.")
    jobs: list[Any] | None = Field(
        default=None, min_length=1, max_length=10_000, description="Without, rows follow."
    )
    budget: Decimal | None = Field(default=None, ge=0, lt=10**9, decimal_places=3)
    on_uncertain: OnUncertain | None = None
    webhook_url: WebhookUrl | None = Field(default=None, description="Is told of its end.")
    priority: Priority = Field(default=0, description="Higher is sooner.")

    @property
    def common(self) -> dict[str, Any]:
        """What a row gets where it says nothing."""
        said = {"priority": self.priority, **self.defaults}
        return said if self.operation is None else {"operation": self.operation, **said}


class BatchChange(Body):
    """What is to be changed of a batch; what is not named stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"weight": 3, "max_in_flight": 20}], "minProperties": 1}
    )

    priority: Priority = Field(default=0, description="Of all its jobs that were not begun.")
    weight: int = Field(default=1, ge=1, le=MAX_WEIGHT, description="Among the project's batches.")
    max_in_flight: int | None = Field(
        default=None, ge=1, le=MAX_PRIORITY, description="Jobs under way at once; null: any number."
    )
    budget: Decimal | None = Field(default=None, ge=0, lt=10**9, decimal_places=3)

    @model_validator(mode="after")
    def check_something_is_named(self) -> Self:
        """Refuse a change that changes nothing."""
        if not self.model_fields_set:
            raise ValueError("names nothing to change: priority, weight, max_in_flight or budget")
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """The columns that change."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        if "budget" in named:
            budget = named.pop("budget")
            named["budget_milli"] = None if budget is None else int(budget * MILLI)
        return named


class EstimateBody(Body):
    """Jobs whose price is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"jobs": [EXAMPLE]}]})

    jobs: list[JobBody] = Field(min_length=1, max_length=10_000)


def checked_params(raw: Any) -> tuple[dict[str, Any] | None, list[InitErrorDetails]]:
    """The clean parameters of a raw job and its faults; None where its form lets none be seen."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("operation"), str):
        return None, []
    params, inputs = raw.get("params", {}), raw.get("inputs", {})
    if not isinstance(params, Mapping) or not isinstance(inputs, Mapping):
        return None, []
    try:
        operation = find_operation(raw["operation"])
    except InvalidJob as error:
        return None, [as_fault_detail((fault.field,), fault) for fault in error.faults]
    cleaned, faults = clean(operation, params, files=[str(name) for name in inputs])
    details = [as_fault_detail(place(operation, fault, inputs), fault) for fault in faults]
    for name, reference in inputs.items():
        if isinstance(reference, str) and operation.file(name) is not None:
            found = reference_faults(operation, name, reference)
            details += [as_fault_detail(("inputs", name), fault) for fault in found]
    return cleaned, details


def place(operation: Operation, fault: Fault, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """Where in the body the catalog's fault is to be mended."""
    listed = operation.parameter(fault.field)
    is_input = fault.field in inputs or (listed is not None and listed.kind == "file")
    return ("inputs" if is_input else "params", fault.field)


def as_fault_detail(path: tuple[str, ...], fault: Fault) -> InitErrorDetails:
    """A fault as pydantic reports its own."""
    return as_detail({"type": fault.code, "loc": path, "msg": fault.message, "input": None})


def as_detail(item: Any) -> InitErrorDetails:
    """A reported fault as one to report again."""
    error = PydanticCustomError(item["type"], item["msg"])
    return InitErrorDetails(type=error, loc=item["loc"], input=item["input"])


def told(item: Any, named: str) -> Any:
    """A reported fault; of a field that a job does not have it says which ones it has."""
    if item["type"] != "extra_forbidden" or len(item["loc"]) != 1:
        return item
    why = f"is no field of a job; those are {named}, and what is yours goes into metadata"
    return {**item, "msg": why}


def retried_params(
    operation_name: str, inputs: Mapping[str, str], body: RetryBody
) -> dict[str, Any] | None:
    """The clean parameters for another try, None for the old ones; raises InvalidJob."""
    if body.params is None:
        return None
    params, faults = clean(find_operation(operation_name), body.params, files=list(inputs))
    if faults:
        raise InvalidJob(
            [Fault(field=f"params.{f.field}", code=f.code, message=f.message) for f in faults]
        )
    return params
