"""What an input of a job may refer to, and whether the project has it."""

import base64
import binascii
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from jobs.assets import add_image
from jobs.catalog.images import ImageFacts, image_faults, rule_faults
from jobs.catalog.operation import Operation
from jobs.db import Database
from jobs.errors import Fault
from jobs.models import Asset, table
from jobs.storage.protocol import Storage

ASSET = table(Asset)

ASSET_FORM = re.compile(r"(?:asset:)?([0-9a-z]{26})")
DATA_FORM = re.compile(r"data:image/(?:png|jpeg|webp);base64,(.*)", re.DOTALL)
#: Of an input that comes within the job itself.
MOST_DATA_BYTES = 1024 * 1024
FORMS = "give an asset's id, or data:image/png;base64,... up to 1 MiB"


@dataclass(frozen=True)
class Needed:
    """An asset that a job wants as an input; `field` is where the job says so."""

    field: str
    operation: Operation
    name: str
    asset_id: str


def reference_faults(operation: Operation, name: str, reference: str) -> list[Fault]:
    """What is wrong with a reference by its form alone."""
    if ASSET_FORM.fullmatch(reference):
        return []
    found = DATA_FORM.fullmatch(reference)
    if found is None:
        return [Fault(field=name, code="bad_reference", message=f"is no reference; {FORMS}")]
    data = decoded(found[1])
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
    database: Database, storage: Storage, project_id: str, inputs: Mapping[str, str]
) -> dict[str, str]:
    """Checked inputs with every `data:` made an asset: rows stay small, and equal bytes are one."""
    kept = {}
    for name, reference in inputs.items():
        if found := DATA_FORM.fullmatch(reference):
            data = decoded(found[1])
            assert data is not None, "references were checked"
            kept[name] = "asset:" + add_image(database, storage, project_id, io.BytesIO(data))
        else:
            kept[name] = "asset:" + reference.removeprefix("asset:")
    return kept


def missing_assets(db: Connection, project_id: str, needed: Iterable[Needed]) -> list[Fault]:
    """What is wrong with the assets themselves: not there, or not what the operation takes."""
    needs = list(needed)
    ids = {need.asset_id for need in needs}
    if not ids:
        return []
    rows = db.execute(select(ASSET).where(ASSET.c.project_id == project_id, ASSET.c.id.in_(ids)))
    known = {row.id: row for row in rows}
    return [fault for need in needs for fault in asset_faults(need, known.get(need.asset_id))]


def asset_faults(need: Needed, asset: Row[Any] | None) -> list[Fault]:
    """What the operation would refuse about this asset."""
    if asset is None:
        message = f"there is no asset {need.asset_id} in this project"
        return [Fault(field=need.field, code="unknown_asset", message=message)]
    facts = ImageFacts(
        format=asset.content_type.removeprefix("image/"),
        width=asset.width,
        height=asset.height,
        bytes=asset.bytes,
    )
    return [
        Fault(field=need.field, code=fault.code, message=fault.message)
        for fault in rule_faults(need.operation, need.name, facts)
    ]
