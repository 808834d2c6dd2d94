"""The API's stand-in, seen from outside: its faults, its credits, its ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.faults.process import Process, python
from tests.faults.waiting import until
from tests.servers import accepts_http, free_port

TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Ledger:
    """What the API charged and saw, over all keys."""

    charges: Sequence[dict[str, Any]]
    refusals: int
    short_polls: int
    polls: int
    creates: int
    max_in_window: int

    @property
    def charged_milli(self) -> int:
        """The sum of all charges."""
        return sum(int(charge["credits_milli"]) for charge in self.charges)


class Upstream(Process):
    """`darkroom sandbox` on a port of its own; what it charged outlives its restarts."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = python("-m", "jobs.stability.sandbox", "--port", str(port), *options)
        state = ("--state", str(folder / "sandbox"))
        super().__init__("sandbox", (*command, *state), folder=folder, environment={})

    def start(self) -> None:
        """Run it and wait until it answers."""
        super().start()
        until(lambda: accepts_http(self.address), "the sandbox answers", 30)

    def fault(self, **rules: float | str) -> None:
        """Replace the faults in force: `reset_after_charge=0.05`, `hang="1x3"`."""
        named = {name.replace("_", "-"): value for name, value in rules.items()}
        self._post("/_sandbox/faults", named)

    def heal(self) -> None:
        """End all faults."""
        self.fault()

    def add_credits(self, credits: float, key_index: int = 0) -> None:
        """Top a key up."""
        self._post("/_sandbox/credits", {"credits": credits, "key_index": key_index})

    def charged(self) -> int:
        """How many calls were charged so far."""
        return len(self.ledger().charges)

    def ledger(self) -> Ledger:
        """The whole ledger."""
        answer = requests.get(f"{self.address}/_sandbox/ledger", timeout=TIMEOUT_SECONDS)
        keys = answer.json()["keys"]
        return Ledger(
            charges=[charge for key in keys for charge in key["charges"]],
            refusals=sum(key["refusals"] for key in keys),
            short_polls=sum(key["poll_gaps_too_short"] for key in keys),
            polls=sum(key["poll_count"] for key in keys),
            creates=sum(n for key in keys for op, n in key["by_operation"].items() if is_paid(op)),
            max_in_window=max((key["max_in_window"] for key in keys), default=0),
        )

    def _post(self, path: str, body: dict[str, Any]) -> None:
        answer = requests.post(self.address + path, json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()


def is_paid(operation: str) -> bool:
    """Whether the ledger's line counts creates: workers ask for balances, too, and for nothing."""
    return operation != "poll" and not operation.startswith(("v1/user/", "v1/engines/"))
