"""Measure, and print what was found beside what must be reached.

python -m bench [NAME...] [--quick] [--json FILE]
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bench import measures
from bench.figure import Figure
from bench.machine import describe
from bench.options import Options
from bench.table import print_figures
from tests.servers import temporary_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measures; 1 means that a figure misses its target, 2 that a name is unknown."""
    known = [module.name for module in iter_modules(measures.__path__)]
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="to see that it works, no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(known):
        sys.stderr.write(f"bench: {', '.join(sorted(unknown))}: not among {', '.join(known)}\n")
        return 2
    machine = describe()
    sys.stdout.write("".join(f"{name}: {value}\n" for name, value in machine.items()))
    figures = {name: measured(name, is_quick=given.quick) for name in given.names or known}
    if given.json:
        rows = {name: [asdict(one) for one in found] for name, found in figures.items()}
        given.json.write_text(json.dumps({"machine": machine, "figures": rows}, indent=2) + "\n")
    return int(any(one.holds is False for found in figures.values() for one in found))


def measured(name: str, *, is_quick: bool) -> list[Figure]:
    """One measure's figures, printed as soon as they are there."""
    sys.stdout.write(f"\n{name} ...\n")
    sys.stdout.flush()
    begun_at = time.monotonic()
    with temporary_folder() as folder:
        options = Options(is_quick=is_quick, folder=folder)
        figures = list(import_module(f"bench.measures.{name}").measure(options))
    print_figures(f"{name}, {time.monotonic() - begun_at:.0f} s", figures)
    return figures


if __name__ == "__main__":
    sys.exit(main())
