"""What signs messages: secrets derived from one master secret, so that none of them is kept."""

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.settings import Settings

FILE = "webhook.secret"
#: For so long after a rotation messages carry both signatures.
OVERLAP = timedelta(hours=24)


@dataclass(frozen=True)
class Seal:
    """Which secret signs: everything about it but the secret."""

    owner: str
    generation: int = 0
    rotated_at: datetime | None = None
    #: Of the signer that showed it; None if nobody was shown it yet.
    mark: str | None = None


class Signer:
    """Knows the secrets of all seals that were made with the same master secret."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        #: Tells this signer from one with another master secret, and nothing else.
        self.mark = self._derived("the mark of the signer").hex()[:16]

    def knows(self, seal: Seal) -> bool:
        """Whether its secret is the one that was shown."""
        return seal.mark in {None, self.mark}

    def secret(self, owner: str, generation: int) -> str:
        """The secret as those who check signatures keep it: `whsec_...`."""
        return "whsec_" + base64.b64encode(self._derived(f"{owner} {generation}")).decode()

    def valid(self, seal: Seal, now: datetime) -> list[str]:
        """The secrets that sign now, the newest first."""
        found = [self.secret(seal.owner, seal.generation)]
        if seal.rotated_at is not None and now < seal.rotated_at + OVERLAP:
            found.append(self.secret(seal.owner, seal.generation - 1))
        return found

    def _derived(self, text: str) -> bytes:
        return hmac.digest(self._master, f"webhook {text}".encode(), hashlib.sha256)


def open_signer(settings: Settings) -> Signer:
    """The signer of the settings: by DARKROOM_SECRET_KEY, or by a file in the home."""
    if settings.darkroom_secret_key is not None:
        return Signer(settings.darkroom_secret_key.get_secret_value().encode())
    path = settings.home / FILE
    if not path.exists():
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
