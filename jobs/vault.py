"""Keys at rest: sealed with the secret of the settings, so a copy of the database is no use."""

from cryptography.fernet import Fernet, InvalidToken

from jobs.errors import SettingsError
from jobs.settings import Settings


class Vault:
    """Seals and opens keys."""

    def __init__(self, secret: str) -> None:
        try:
            self._fernet = Fernet(secret.encode())
        except ValueError as error:
            raise SettingsError(
                "DARKROOM_SECRET_KEY: must be a Fernet key: 32 bytes in URL-safe base64; "
                "`darkroom credentials secret` makes one"
            ) from error

    def seal(self, key: str) -> str:
        """Encrypt a key."""
        return self._fernet.encrypt(key.encode()).decode()

    def open(self, sealed: str) -> str | None:
        """Decrypt a key; None if it was sealed with another secret."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            return None


def open_vault(settings: Settings) -> Vault | None:
    """The vault of the settings; None without a secret."""
    if settings.darkroom_secret_key is None:
        return None
    return Vault(settings.darkroom_secret_key.get_secret_value())


def new_secret() -> str:
    """A secret for DARKROOM_SECRET_KEY."""
    return Fernet.generate_key().decode()
