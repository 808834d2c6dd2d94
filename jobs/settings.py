"""Every setting, read once from the environment (or `.env`), checked, and passed in from there."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.errors import SettingsError
from jobs.surroundings import names_in

#: Of the folder in which a command is run.
ENV_FILE = Path(".env")

OnUncertain = Literal["retry", "hold", "fail"]

RATE_FORM = re.compile(r"(\d+)\s*/\s*(\d+(?:\.\d+)?)\s*s")

DAY_SECONDS = 86_400

#: What can be sent as a key in a header, and what is said of anything else.
KEY_FORM = re.compile(r"[!-~]+")
NO_KEY = "a key with a blank, a curly quote or the like, which cannot be sent; copy it again"

ORIGIN_FORM = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


class Rate(BaseModel):
    """So many requests in any window of so many seconds."""

    model_config = ConfigDict(frozen=True)

    requests: int = Field(ge=1)
    window: timedelta

    @property
    def per_second(self) -> float:
        """The mean number of requests in a second."""
        return self.requests / self.window.total_seconds()

    def __str__(self) -> str:
        return f"{self.requests}/{self.window.total_seconds():g}s"


def parse_rate(value: object) -> object:
    """Read `150/10s`."""
    if not isinstance(value, str):
        return value
    match = RATE_FORM.fullmatch(value.strip())
    if match is None or not 1e-3 <= float(match[2]) <= DAY_SECONDS:
        raise ValueError(
            "write it as REQUESTS/SECONDSs, for example 150/10s, with a day at the most"
        )
    return Rate(requests=int(match[1]), window=timedelta(seconds=float(match[2])))


def one_line(value: str) -> str:
    """Refuse line breaks and blanks around a value that goes into a header or an address."""
    if value != value.strip() or any(c in value for c in "\r\n\0"):
        raise ValueError("has blanks or line breaks around or in it")
    return value


Seconds = Annotated[float, Field(gt=0, le=DAY_SECONDS)]
Line = Annotated[str, AfterValidator(one_line)]


class Settings(BaseSettings):
    """Unset means embedded: SQLite, a Redis of our own, a folder as bucket, the sandbox."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", frozen=True, env_ignore_empty=True
    )

    #: One key, or several, comma separated. Unset: the sandbox.
    stability_api_key: SecretStr | None = None
    #: Address of the API; unset with a key: the real one.
    stability_api_host: Line | None = None
    database_url: Line | None = None
    redis_url: Line | None = None
    s3_bucket: Line | None = None
    s3_prefix: Line = ""
    s3_endpoint_url: Line | None = None

    #: Database, spool, outputs and the embedded servers' sockets.
    darkroom_home: Path = Path(".darkroom")
    #: Stability: 150 requests in 10 s for each key.
    darkroom_rate: Annotated[Rate, NoDecode, BeforeValidator(parse_rate)] = Rate(
        requests=150, window=timedelta(seconds=10)
    )
    #: What part of the rate is left to jobs of priority 10 and more while they keep coming.
    darkroom_interactive_share: float = Field(default=0.1, ge=0, le=0.9)
    #: Stability: 60 s of lock-out after a 429.
    darkroom_freeze_seconds: Seconds = 60
    #: Stability: one poll of one result id in 10 s.
    darkroom_poll_seconds: Seconds = 10
    #: Requests in flight for each credential, over all workers.
    darkroom_max_in_flight: int = Field(default=200, ge=1, le=100_000)
    #: Requests in flight in one worker process; each waits in a thread.
    darkroom_worker_threads: int = Field(default=200, ge=1, le=10_000)
    #: A worker that is silent for so long has lost its jobs.
    darkroom_lease_seconds: Seconds = 60
    #: What happens when the answer to a paid call was lost.
    darkroom_on_uncertain: OnUncertain = "retry"
    #: How many seconds a worker that was told to stop goes on with what it has begun.
    darkroom_grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 45
    #: Seconds between two bytes of the answer to a paid call before it counts as lost.
    darkroom_answer_seconds: Seconds = 180
    #: Seconds between two checks of a credential that was stopped.
    darkroom_balance_seconds: Seconds = 60
    #: Seconds for which a call of Stability's own addresses waits for its job.
    darkroom_wait_seconds: Seconds = 300
    #: Whether addresses that users give may lead into private networks, and go without TLS.
    darkroom_allow_private_addresses: bool = False
    #: Buckets from which inputs are read, comma separated; every project may name them.
    darkroom_input_buckets: Line = ""
    #: Origins whose pages may call the HTTP interface, comma separated.
    darkroom_cors_origins: Line = ""
    darkroom_log: Literal["debug", "info", "warning", "error"] = "info"
    #: Encrypts the API keys that are kept in the database (a Fernet key).
    darkroom_secret_key: SecretStr | None = None

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Refuse settings that contradict each other."""
        if self.s3_bucket is None and (self.s3_endpoint_url or self.s3_prefix):
            raise ValueError("S3_ENDPOINT_URL and S3_PREFIX need S3_BUCKET")
        if self.database_url is not None and "://" not in self.database_url:
            raise ValueError("DATABASE_URL is an address such as postgresql://user@host/name")
        if self.redis_url is not None and not re.match(r"(rediss?|unix)://", self.redis_url):
            raise ValueError("REDIS_URL starts with redis://, rediss:// or unix://")
        if self.stability_api_host is not None and not re.match(
            r"https?://[^/]+", self.stability_api_host
        ):
            raise ValueError("STABILITY_API_HOST is an address such as https://api.stability.ai")
        if self.stability_api_key is not None and not self.api_keys:
            raise ValueError("STABILITY_API_KEY holds no key")
        if not all(map(KEY_FORM.fullmatch, self.api_keys)):
            raise ValueError(f"STABILITY_API_KEY holds {NO_KEY}")
        if wrong := [origin for origin in self.cors_origins if not ORIGIN_FORM.fullmatch(origin)]:
            raise ValueError(
                f"DARKROOM_CORS_ORIGINS holds {wrong[0]!r}, but an origin is such as "
                "https://shop.example, without a path"
            )
        if self.s3_bucket in self.input_buckets:
            raise ValueError("DARKROOM_INPUT_BUCKETS must not hold S3_BUCKET: all may read them")
        return self

    @property
    def home(self) -> Path:
        """The folder of everything that is kept on this machine, absolute."""
        return self.darkroom_home.expanduser().resolve()

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys of the settings, in their order; empty without one."""
        if self.stability_api_key is None:
            return ()
        parts = self.stability_api_key.get_secret_value().split(",")
        return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))

    @property
    def input_buckets(self) -> frozenset[str]:
        """The buckets from which inputs are read."""
        return frozenset(filter(None, map(str.strip, self.darkroom_input_buckets.split(","))))

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """The origins whose pages may call the interface."""
        return tuple(filter(None, map(str.strip, self.darkroom_cors_origins.split(","))))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        sealed = self.darkroom_secret_key
        return (*self.api_keys, *([sealed.get_secret_value()] if sealed else []))

    @property
    def api_host(self) -> str:
        """The API's address without a slash at its end."""
        return (self.stability_api_host or "https://api.stability.ai").rstrip("/")

    @property
    def database_address(self) -> str:
        """The database's address for SQLAlchemy."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'darkroom.db'}"
        scheme, rest = self.database_url.split("://", 1)
        if scheme in {"postgres", "postgresql"}:
            return f"postgresql+psycopg://{rest}"
        return self.database_url

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without a sign of life."""
        return timedelta(seconds=self.darkroom_lease_seconds)

    @property
    def freeze(self) -> timedelta:
        """How long a credential rests after a 429."""
        return timedelta(seconds=self.darkroom_freeze_seconds)

    @property
    def poll_gap(self) -> timedelta:
        """The least time between two polls of one result id."""
        return timedelta(seconds=self.darkroom_poll_seconds)


def read_settings(**overrides: object) -> Settings:
    """Read the environment; `overrides` win. Raises SettingsError, in one line."""
    env_file = overrides.get("_env_file", ENV_FILE)
    if isinstance(env_file, Path):
        names_in(env_file)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(describe(error)) from error


def describe(error: ValidationError) -> str:
    """Turn pydantic's report into one line that names the settings as people write them."""
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = str(item["loc"][0]).upper() if item["loc"] else ""
        text = item["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {text}" if name else text)
    return "; ".join(lines)
