"""What every storage does: keep objects under keys, whole or not at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import BinaryIO, Protocol


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """What is known of an object without its bytes."""

    key: str
    size: int
    sha256: str
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class UploadForm:
    """Where anybody may POST one object, as a form with these fields and then the `file`."""

    url: str
    fields: Mapping[str, str]


class Storage(Protocol):
    """A bucket. Every failure is a StorageError of one sentence; a bad key is a ValueError.

    All methods may be called by several threads at once.
    """

    def put(
        self,
        key: str,
        source: BinaryIO,
        *,
        size: int,
        content_type: str,
        sha256: str,
        metadata: Mapping[str, str],
        is_final: bool = False,
    ) -> None:
        """Store all bytes of `source`, which can seek; names of metadata are in lower case.

        A final source is a file that was checked, and that nobody changes any more: it may be
        shared instead of copied.

        The whole is never in memory. Once it returns, the object has this sha256; when it raises,
        there is no object, or the one before. The same call again is harmless.
        """
        ...

    def head(self, key: str) -> StoredObject | None:
        """What is known of an object, or None."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Read an object bit by bit; close it afterwards. Raises ObjectMissing."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that begin so, in no particular order."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no failure."""
        ...

    def url(self, key: str, expires: timedelta) -> str | None:
        """An address that anybody can read for so long, or None if this storage has none."""
        ...

    def upload_form(
        self, key: str, *, size: int, content_type: str, expires: timedelta
    ) -> UploadForm | None:
        """A form that takes exactly this object for so long, or None if this storage has none."""
        ...

    def clean(self, older_than: timedelta) -> None:
        """Delete what killed writers left half written, and nobody has touched for so long."""
        ...

    def check(self) -> None:
        """Write, read and delete a probe; raises StorageError if it cannot."""
        ...
