"""What an experiment wants to have running: its scale of time, its servers, its crew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

#: A window of 2 s stands for Stability's 10 s. The stand-in's is wider than ours by a third: this
#: suite starves its processes of the processor, and the limiter has a suite of its own.
RATE, UPSTREAM_RATE = "60/2s", "80/2s"
FREEZE_SECONDS = 3
POLL_SECONDS = 1
LEASE_SECONDS = 5

KEYS = ("sk-canary-0f6d1c7a9b2e", "sk-canary-5e8b3d4c1a7f")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The servers and the crew of one experiment."""

    workers: int = 2
    beats: int = 1
    keys: int = 1
    database: Literal["postgres", "sqlite"] = "postgres"
    #: A Postgres of its own, which may be hurt as a whole.
    own_cluster: bool = False
    storage: Literal["s3", "folder"] = "s3"
    #: How long the API takes: `generate/core` and its like, then results that are polled for.
    latency: str = "0.1"
    async_latency: str = "1.2"
    #: Further options of `darkroom sandbox`.
    sandbox: Sequence[str] = ()
    #: Settings of every worker and beat.
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Settings of each worker alone, in their order.
    each_worker: Sequence[Mapping[str, str]] = ()

    @property
    def sandbox_options(self) -> list[str]:
        """The stand-in's command line."""
        options = {
            "--rate": UPSTREAM_RATE,
            "--freeze": str(FREEZE_SECONDS),
            "--poll-gap": str(POLL_SECONDS),
            "--latency": self.latency,
            "--async-latency": self.async_latency,
            "--slow": "3",
            "--seed": "1",
        }
        given = [part for name, value in options.items() for part in (name, value)]
        keys = [part for key in KEYS[: self.keys] for part in ("--key", key)]
        return [*given, *keys, *self.sandbox]

    @property
    def environment(self) -> dict[str, str]:
        """The settings that do not depend on where the servers listen."""
        return {
            "STABILITY_API_KEY": ",".join(KEYS[: self.keys]),
            "DARKROOM_RATE": RATE,
            "DARKROOM_FREEZE_SECONDS": str(FREEZE_SECONDS),
            "DARKROOM_POLL_SECONDS": str(POLL_SECONDS),
            "DARKROOM_LEASE_SECONDS": str(LEASE_SECONDS),
            "DARKROOM_GRACE_SECONDS": "20",
            "DARKROOM_WORKER_THREADS": "24",
            **self.settings,
        }
