"""How soon the first request is made."""

import sys
import time

import pytest

from tests.functional.darkroom import Darkroom
from tests.functional.ledger import accounts
from tests.functional.manifests import prompts
from tests.integration.sandbox.caller import Caller

#: Far above what an idle machine needs: only a start that hangs fails.
MOST_SECONDS = 15


def test_the_first_request_is_made_soon_after_the_command(
    darkroom: Darkroom, api: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = prompts(darkroom.folder / "one.csv", "a lake")
    begun_at = time.monotonic()

    with darkroom.asking(api).running("run", manifest, "--out", "out", "--yes") as begun:
        begun.wait_until(lambda: bool(accounts(api)), "a request has come", MOST_SECONDS)
        seconds = time.monotonic() - begun_at
        ended = begun.end()

    assert ended.code == 0, ended
    with capsys.disabled():
        sys.stdout.write(f"\nfrom the command to the first request: {seconds:.2f} s\n")
