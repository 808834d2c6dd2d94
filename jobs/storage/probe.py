"""The proof that a storage works: write an object, read it, delete it."""

import hashlib
import secrets
from io import BytesIO

from jobs.errors import StorageError
from jobs.storage.protocol import Storage


def probe(storage: Storage) -> None:
    """Write, read and delete an object of its own name; raises StorageError if that fails."""
    key, payload = f"darkroom-probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
    storage.put(
        key,
        BytesIO(payload),
        size=len(payload),
        content_type="application/octet-stream",
        sha256=hashlib.sha256(payload).hexdigest(),
        metadata={},
    )
    try:
        with storage.open(key) as stored:
            if stored.read() != payload:
                raise StorageError("The bucket gave back other bytes than were written.")
    finally:
        storage.delete(key)
