"""Figures as a person reads them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.figure import Figure

VERDICTS = {True: "[green]holds[/]", False: "[red]misses[/]", None: ""}


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    """One measure's table."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("target")
    table.add_column("")
    for one in figures:
        target = "" if one.target is None else f"{one.sense} {one.target:,.6g} {one.unit}"
        value = f"{rounded(one.value)} {one.unit}"
        table.add_row(one.what, value, target, VERDICTS[one.holds])
    Console().print(table)


def rounded(value: float) -> str:
    """Three digits that count, and no more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
