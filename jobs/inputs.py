"""The inputs of a job that is submitted: what is wrong with them, and what is kept of them."""

import base64
import binascii
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs.assets import add_image, assets_by_id
from jobs.catalog.image_header import Format
from jobs.catalog.images import ImageFacts, image_faults, rule_faults
from jobs.catalog.operation import Operation
from jobs.db import Database
from jobs.errors import AddressRefused, Fault, InvalidJob
from jobs.guard import Guard, guard_of
from jobs.models import Job, Output, table
from jobs.references import (
    FORMS,
    AssetReference,
    BucketReference,
    DataReference,
    OutputReference,
    Reference,
    WebReference,
    parse,
)
from jobs.settings import Settings
from jobs.states import FINAL, JobState
from jobs.storage.protocol import Storage

JOB = table(Job)
OUTPUT = table(Output)

IMAGES: dict[str, Format] = {"image/jpeg": "jpeg", "image/png": "png", "image/webp": "webp"}
#: Of an input that comes within the job itself.
MOST_DATA_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Policy:
    """From where this installation fetches."""

    guard: Guard
    buckets: frozenset[str]

    def webhook_faults(self, url: str | None) -> list[Fault]:
        """Why it would not call this address, by its form."""
        try:
            if url is not None:
                self.guard.check(url)
        except AddressRefused as error:
            return [Fault(field="webhook_url", code=error.code, message=str(error))]
        return []

    def faults(self, name: str, reference: Reference) -> list[Fault]:
        """Why it would not fetch this, as far as can be told without asking anybody."""
        match reference:
            case WebReference(address):
                try:
                    self.guard.check(address)
                except AddressRefused as error:
                    return [Fault(field=f"inputs.{name}", code=error.code, message=str(error))]
            case BucketReference(bucket) if bucket not in self.buckets:
                message = f"the bucket {bucket} is not one of DARKROOM_INPUT_BUCKETS"
                return [Fault(field=f"inputs.{name}", code="bucket_refused", message=message)]
        return []


STRICT = Policy(Guard(), frozenset())


def policy_of(settings: Settings) -> Policy:
    """The policy of these settings."""
    return Policy(guard_of(settings), settings.input_buckets)


@dataclass(frozen=True)
class Needed:
    """Something that a job wants as an input; `field` is where the job says so."""

    field: str
    operation: Operation
    name: str
    reference: Reference

    def fault(self, code: str, message: str) -> Fault:
        """A fault of this input."""
        return Fault(field=self.field, code=code, message=message)

    def output_faults(
        self, reference: OutputReference, state: str | None, output: Row[Any] | None
    ) -> list[Fault]:
        """What is wrong with an output of a job in this state; None is no such job."""
        if state is None:
            message = f"there is no job {reference.job_id} in this project"
            return [self.fault("unknown_job", message)]
        if state in FINAL and state != JobState.SUCCEEDED:
            return [self.fault("no_output", f"the job {reference.job_id} ended as {state}")]
        if state != JobState.SUCCEEDED:
            return []
        if output is None:
            return [self.fault("unknown_output", f"there is no {reference}")]
        return self.rule_faults(output)

    def rule_faults(self, found: Row[Any]) -> list[Fault]:
        """What the operation would refuse about a file that is known; its header is not read."""
        kind = IMAGES.get(found.content_type)
        if kind is None:
            return [self.fault("not_an_image", f"is {found.content_type}, and no image")]
        if found.width is None or found.height is None:
            # An upload that is announced: it is looked at when it is there.
            return []
        facts = ImageFacts(format=kind, width=found.width, height=found.height, bytes=found.bytes)
        faults = rule_faults(self.operation, self.name, facts)
        return [self.fault(fault.code, fault.message) for fault in faults]


def reference_faults(operation: Operation, name: str, reference: str) -> list[Fault]:
    """What is wrong with a reference by its form alone."""
    found = parse(reference)
    if found is None:
        return [Fault(field=name, code="bad_reference", message=f"is no reference; {FORMS}")]
    if not isinstance(found, DataReference):
        return []
    data = decoded(found.text)
    if data is None:
        return [Fault(field=name, code="bad_base64", message="does not decode as base64")]
    if len(data) > MOST_DATA_BYTES:
        message = "is larger than 1 MiB; upload it to /v1/assets"
        return [Fault(field=name, code="too_large", message=message)]
    return image_faults(operation, name, io.BytesIO(data))


def decoded(text: str) -> bytes | None:
    """The bytes, or None for what is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def keep_inputs(
    database: Database,
    storage: Storage,
    project_id: str,
    inputs: Mapping[str, str],
    policy: Policy = STRICT,
) -> dict[str, str]:
    """References of good form as their job keeps them; raises InvalidJob if one is not allowed.

    Every `data:` becomes an asset: rows stay small, and equal bytes are one.
    """
    if not inputs:
        return {}
    parsed = {name: parse(text) for name, text in inputs.items()}
    if faults := [f for name, r in parsed.items() if r for f in policy.faults(name, r)]:
        raise InvalidJob(faults)
    kept = {}
    for name, reference in parsed.items():
        assert reference is not None, "references were checked"
        if isinstance(reference, DataReference):
            data = decoded(reference.text)
            assert data is not None, "references were checked"
            asset_id = add_image(database, storage, project_id, io.BytesIO(data))
            reference = AssetReference(asset_id)
        kept[name] = str(reference)
    return kept


def unmet_needs(db: Connection, project_id: str, needed: Iterable[Needed]) -> list[Fault]:
    """What is wrong with the assets and outputs that jobs need: not there, or not to be taken.

    The output of a job that has not ended yet is no fault.
    """
    assets, outputs = [], []
    for need in needed:
        match need.reference:
            case AssetReference() as reference:
                assets.append((need, reference))
            case OutputReference() as reference:
                outputs.append((need, reference))
    return [*_asset_faults(db, project_id, assets), *_output_faults(db, project_id, outputs)]


def _asset_faults(
    db: Connection, project_id: str, wanted: list[tuple[Needed, AssetReference]]
) -> list[Fault]:
    known = assets_by_id(db, project_id, {reference.asset_id for _, reference in wanted})
    faults = []
    for need, reference in wanted:
        if (asset := known.get(reference.asset_id)) is None:
            message = f"there is no asset {reference.asset_id} in this project"
            faults.append(need.fault("unknown_asset", message))
        else:
            faults += need.rule_faults(asset)
    return faults


def _output_faults(
    db: Connection, project_id: str, wanted: list[tuple[Needed, OutputReference]]
) -> list[Fault]:
    ids = {reference.job_id for _, reference in wanted}
    if not ids:
        return []
    mine = select(JOB.c.id, JOB.c.state).where(JOB.c.project_id == project_id, JOB.c.id.in_(ids))
    states = {row.id: row.state for row in db.execute(mine)}
    made = db.execute(select(OUTPUT).where(OUTPUT.c.job_id.in_(states)))
    outputs = {(row.job_id, row.number): row for row in made}
    faults = []
    for need, reference in wanted:
        output = outputs.get((reference.job_id, reference.number))
        faults += need.output_faults(reference, states.get(reference.job_id), output)
    return faults
