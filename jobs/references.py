"""What an input of a job may refer to, as a caller writes it."""

import re
from dataclasses import dataclass

#: A job or an asset, by its id.
ID = r"[0-9a-z]{26}"
ASSET_FORM = re.compile(rf"(?:asset:)?({ID})")
OUTPUT_FORM = re.compile(rf"job:({ID})(?:#(\d{{1,4}}))?")
DATA_FORM = re.compile(r"data:(image/(?:png|jpeg|webp));base64,(.*)", re.DOTALL)
#: S3: a bucket's name, and a key of up to 1,024 bytes without control characters.
BUCKET_FORM = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^\x00-\x1f\x7f]{1,1024})")

FORMS = (
    "give an asset's id, https://..., s3://bucket/key, job:<id>#<output>, "
    "or data:image/png;base64,... up to 1 MiB"
)


@dataclass(frozen=True)
class AssetReference:
    """An uploaded input."""

    asset_id: str

    def __str__(self) -> str:
        return f"asset:{self.asset_id}"


@dataclass(frozen=True)
class OutputReference:
    """A file that another job of the project makes, counted from 0."""

    job_id: str
    number: int

    def __str__(self) -> str:
        return f"job:{self.job_id}#{self.number}"


@dataclass(frozen=True)
class DataReference:
    """The bytes themselves, in base64."""

    content_type: str
    text: str


@dataclass(frozen=True)
class WebReference:
    """An address to fetch from."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True)
class BucketReference:
    """An object in a bucket that the settings allow."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


Fetched = WebReference | BucketReference
Reference = AssetReference | OutputReference | DataReference | Fetched


def parse(text: str) -> Reference | None:
    """The reference, or None for what has none of the forms; whether it may be used is open."""
    if found := ASSET_FORM.fullmatch(text):
        return AssetReference(found[1])
    if found := OUTPUT_FORM.fullmatch(text):
        return OutputReference(found[1], int(found[2] or 0))
    if found := DATA_FORM.fullmatch(text):
        return DataReference(found[1], found[2])
    if found := BUCKET_FORM.fullmatch(text):
        return BucketReference(found[1], found[2])
    if text.startswith(("https://", "http://")):
        return WebReference(text)
    return None
