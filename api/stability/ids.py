"""A job's id as Stability's ids look: 64 hexadecimal digits, which lead back to the job.

The first half is the job's ULID, the second a digest of it, so that a mistyped id, or one that
Stability itself gave out, is known as foreign without a look at the database.
"""

import re
from hashlib import sha256

from ulid import ULID

#: Stability: `GenerationID` has so many characters.
LENGTH = 64
FORM = re.compile(r"[0-9a-f]{64}")


def generation_id(job_id: str) -> str:
    """The id under which the job's result is fetched."""
    half = ULID.from_str(job_id.upper()).bytes
    return half.hex() + _check(half)


def job_of(generation: str) -> str | None:
    """The job's id, or None for what `generation_id` never made."""
    if FORM.fullmatch(generation) is None:
        return None
    half = bytes.fromhex(generation[: LENGTH // 2])
    if generation[LENGTH // 2 :] != _check(half):
        return None
    return str(ULID.from_bytes(half)).lower()


def _check(half: bytes) -> str:
    return sha256(half).hexdigest()[: LENGTH // 2]
