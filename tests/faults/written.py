"""Writes what was measured into `docs/reliability.md`, between the marks that stand there."""

import re
from collections.abc import Sequence

from tests.faults.process import ROOT
from tests.faults.report import closing, table
from tests.faults.run import Result

PAGE = ROOT / "docs" / "reliability.md"


def write_table(results: Sequence[Result], *, is_long: bool) -> None:
    """Replace the experiments' table."""
    form = "long" if is_long else "short"
    lines = [f"Measured in the {form} form: {closing(results)}.", "", *table(results)]
    write_between("experiments", lines)


def write_between(mark: str, lines: Sequence[str]) -> None:
    """Put lines between `<!-- mark -->` and `<!-- /mark -->`."""
    text = PAGE.read_text("utf-8")
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    body = "\n".join(lines)
    written, count = pattern.subn(lambda found: f"{found[1]}{body}\n{found[2]}", text)
    if count != 1:
        raise ValueError(f"{PAGE} has no place for {mark}")
    PAGE.write_text(written, "utf-8")
