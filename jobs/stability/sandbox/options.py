"""The sandbox's command line: options in, settings out."""

import argparse
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from jobs.catalog.operation import MILLI
from jobs.errors import SettingsError
from jobs.stability.sandbox.faults import CREATE_FAULTS, POLL_FAULTS, read_rule
from jobs.stability.sandbox.made_up import made_up
from jobs.stability.sandbox.settings import SandboxSettings, read_delay, read_rate
from jobs.stability.sandbox.submission import BLURRED_WORD, REFUSED_WORD

LISTED = "\n".join(
    f"  {found.path}" + ("  (with body=json)" if found.body == "json" else "")
    for found in made_up().values()
)
NOTES = f"""\
magic words in a prompt:
  {REFUSED_WORD}   moderation refuses it: 403 content_moderation, not charged
                 (v1: 400 invalid_prompts)
  {BLURRED_WORD}   200 with finish-reason CONTENT_FILTERED and a blurred picture, charged

faults of paid calls:
  {", ".join(CREATE_FAULTS)}
faults of polls:
  {", ".join(POLL_FAULTS)}

operations that the API does not have, to try `request` with:
{LISTED}
"""


def parser() -> argparse.ArgumentParser:
    """The options; their defaults are those of the settings."""
    options = argparse.ArgumentParser(
        prog="darkroom sandbox",
        description="A local server that plays the Stability API.",
        epilog=NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--host", help="address to listen on (127.0.0.1)")
    add("--port", type=int, help="0 takes any free port (0)")
    add("--key", action="append", metavar="K", help="a valid key; without any, all are valid")
    add("--rate", metavar="N/Ss", help="requests in a window, or none (150/10s)")
    add("--freeze", type=float, metavar="SECONDS", help="lock-out after too many (60)")
    add("--poll-gap", type=float, metavar="SECONDS", help="count polls closer than this (10)")
    add("--credits", metavar="N", help="what each key has at first (10000)")
    add("--latency", metavar="DELAY", help="of synchronous answers: 1.5, or 40~0.25 (1.5)")
    add("--async-latency", metavar="DELAY", help="of asynchronous results (12)")
    add("--result-hours", type=float, metavar="HOURS", help="how long results are kept (24)")
    add("--slow", type=float, metavar="SECONDS", help="how long a slow answer takes (5)")
    add("--fault", action="append", metavar="NAME=P", help="also NAME=PxTIMES and NAME=P@OPERATION")
    add("--seed", type=int, help="make the sandbox's own chance repeatable")
    add("--state", type=Path, metavar="DIR", help="keep balances and results over restarts")
    return options


def settings_of(given: argparse.Namespace) -> SandboxSettings:
    """The settings that the options stand for; raises SettingsError."""
    readers: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "key": ("keys", tuple),
        "rate": ("rate", read_rate),
        "freeze": ("freeze_seconds", float),
        "poll_gap": ("poll_gap_seconds", float),
        "credits": ("credits_milli", read_credits),
        "latency": ("latency", read_delay),
        "async_latency": ("async_latency", read_delay),
        "slow": ("slow_seconds", float),
        "fault": ("faults", lambda texts: tuple(map(read_rule, texts))),
    }
    chosen = {}
    for option, value in vars(given).items():
        if value is not None:
            name, reader = readers.get(option, (option, lambda same: same))
            chosen[name] = reader(value)
    return SandboxSettings(**chosen)


def read_credits(text: str) -> int:
    """Read credits as thousandths."""
    try:
        return int(Decimal(text) * MILLI)
    except InvalidOperation as error:
        raise SettingsError(f"{text}: credits are a number") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox; 1 means that it cannot listen, 2 that the options make no sense."""
    given = parser().parse_args(arguments)
    try:
        settings = settings_of(given)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # Imported only now: `--help` and a wrong option answer at once.
    from jobs.stability.sandbox.server import serve

    try:
        serve(settings)
    except OSError as error:
        sys.stderr.write(f"the sandbox cannot start: {error}\n")
        return 1
    return 0
