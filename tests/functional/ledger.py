"""The sandbox's own books, when a test asks for more than one key's."""

from typing import Any

import requests

from tests.integration.sandbox.caller import Caller

SECONDS = 20


def accounts(api: Caller) -> list[dict[str, Any]]:
    """The account of every key that ever asked for anything, in brief."""
    answer = requests.get(f"{api.address}/_sandbox/ledger?brief", timeout=SECONDS)
    found: list[dict[str, Any]] = answer.json()["keys"]
    return found


def forget(api: Caller) -> None:
    """Empty all counts."""
    requests.delete(f"{api.address}/_sandbox/ledger", timeout=SECONDS).raise_for_status()
