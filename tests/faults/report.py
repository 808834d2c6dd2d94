"""The figures for people: a line for each experiment, a table for all of them."""

from collections.abc import Iterable, Sequence

from tests.faults.audit import Audit
from tests.faults.run import Result

#: The columns: what the audit calls a figure, and what people do.
COLUMNS = {
    "jobs": "jobs",
    "succeeded": "succeeded",
    "failed": "failed",
    "held": "held",
    "lost": "lost",
    "charges": "charges",
    "second_charges": "second charges",
    "uncertain": "uncertain",
    "paid_again": "paid again",
    "orphans": "orphans",
    "spooled": "in spool",
    "miscounted": "miscounted",
    "credit_gap": "credit gap",
    "short_polls": "short polls",
    "refusals": "429",
}


def verdict(result: Result) -> str:
    """One word."""
    if result.failure is not None:
        return "FAILED"
    return "not here" if result.not_here else "kept"


def line(result: Result) -> str:
    """One experiment in one line."""
    head = f"{verdict(result):8} {result.experiment.name:34} {result.seconds:5.1f} s"
    if result.audit is not None:
        head += "  " + figures(result.audit)
    reason = result.failure or result.not_here
    return f"{head}\n    {reason}" if reason else head


def figures(found: Audit) -> str:
    """The figures in words; those that are 0 and have to be are left to the table."""
    extra = f", {found.second_charges} second charges" if found.second_charges else ""
    return (
        f"{found.jobs} jobs: {found.succeeded} succeeded, {found.failed} failed, "
        f"{found.held} held, {found.lost} lost; {found.charges} charges{extra}, "
        f"{found.uncertain} uncertain, {found.paid_again} paid again"
    )


def table(results: Sequence[Result]) -> list[str]:
    """All experiments as a Markdown table."""
    heads = ["experiment", "the promise that it backs", *COLUMNS.values(), "s", ""]
    aligns = ["---", "---", *["--:"] * len(COLUMNS), "--:", "---"]
    return [row(heads), row(aligns), *(row(cells(result)) for result in results)]


def cells(result: Result) -> list[str]:
    """One experiment as a row."""
    found = result.audit
    values = [str(getattr(found, name)) if found else "-" for name in COLUMNS]
    experiment = result.experiment
    return [
        f"`{experiment.name}`",
        experiment.promise,
        *values,
        f"{result.seconds:.0f}",
        verdict(result),
    ]


def row(values: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(values) + " |"


def closing(results: Sequence[Result]) -> str:
    """The sums in one line."""
    audits = [result.audit for result in results if result.audit]
    names = ("jobs", "lost", "charges", "second_charges", "uncertain", "paid_again")
    sums = {name: sum(getattr(found, name) for found in audits) for name in names}
    kept = sum(verdict(result) == "kept" for result in results)
    return (
        f"{kept} of {len(results)} experiments kept their promises: {sums['jobs']} jobs, "
        f"{sums['lost']} lost; {sums['charges']} charges, {sums['second_charges']} of them second "
        f"ones for {sums['uncertain']} uncertain attempts, {sums['paid_again']} paid again "
        "although an answer was committed"
    )
