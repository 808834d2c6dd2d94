"""`python -m tests.faults [NAME]...`: run experiments; exit 1 if a promise was broken."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.experiment import Experiment, all_experiments
from tests.faults.report import closing, line
from tests.faults.run import run_all
from tests.faults.written import write_table


def main() -> int:
    """Run what was asked for."""
    given = options().parse_args()
    chosen = choose(list(all_experiments()), given.names)
    if given.list:
        say("\n".join(f"{e.name:34} {e.promise}" for e in chosen))
        return 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as temporary:
        folder = Path(given.logs or temporary)
        results = run_all(
            chosen,
            at_once=given.at_once,
            folder=folder,
            is_long=given.long,
            report=lambda result: say(line(result)),
        )
    say(f"{closing(results)}; {time.monotonic() - begun:.0f} s")
    if given.write:
        write_table(results, is_long=given.long)
    return 1 if any(result.failure is not None for result in results) else 0


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", help="experiments, or the beginnings of their names")
    parser.add_argument("--long", action="store_true", help="with many jobs")
    parser.add_argument("--at-once", type=int, default=4, help="experiments at a time (4)")
    parser.add_argument("--logs", help="keep the logs of failures in this folder")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md's table")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    return parser


def choose(known: Sequence[Experiment], names: Sequence[str]) -> list[Experiment]:
    """The experiments whose names begin with one of these; all of them without a name."""
    wanted = tuple(names) or ("",)
    chosen = [experiment for experiment in known if experiment.name.startswith(wanted)]
    unknown = [n for n in names if not any(e.name.startswith(n) for e in known)]
    if unknown:
        sys.exit(f"there is no experiment {', '.join(unknown)}")
    return chosen


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
