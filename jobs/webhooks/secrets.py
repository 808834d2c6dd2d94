"""What signs the messages of an endpoint: derived from one secret, so that none is kept."""

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from jobs.settings import Settings

FILE = "webhook.secret"
#: For so long after a rotation messages carry both signatures.
OVERLAP = timedelta(hours=24)


class Signer:
    """Knows the secret of every endpoint."""

    def __init__(self, master: bytes) -> None:
        self._master = master

    def secret(self, endpoint_id: str, generation: int) -> str:
        """The endpoint's secret as its owner keeps it: `whsec_...`."""
        text = f"webhook {endpoint_id} {generation}".encode()
        derived = hmac.digest(self._master, text, hashlib.sha256)
        return "whsec_" + base64.b64encode(derived).decode()

    def valid(self, endpoint: Any, now: datetime) -> list[str]:
        """The secrets that sign now, the newest first."""
        found = [self.secret(endpoint.id, endpoint.generation)]
        if endpoint.rotated_at is not None and now < endpoint.rotated_at + OVERLAP:
            found.append(self.secret(endpoint.id, endpoint.generation - 1))
        return found


def open_signer(settings: Settings) -> Signer:
    """The signer of the settings: by DARKROOM_SECRET_KEY, or by a file in the home."""
    if settings.darkroom_secret_key is not None:
        return Signer(settings.darkroom_secret_key.get_secret_value().encode())
    path = settings.home / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    # Of two processes that begin at once one is first, and both read what it wrote.
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return Signer(path.read_bytes())
