"""What an export sums up: for the caller as a `Summary`, for the folder as `dataset.json`."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from jobs.catalog.operation import MILLI
from jobs.dataset.fetch import Fetched
from jobs.dataset.form import Form
from jobs.dataset.item import Item, ItemOutput
from jobs.states import FINAL

#: Missing files beyond these are only counted.
MISSING_KEPT = 100


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What one export did."""

    jobs: int
    by_state: Mapping[str, int]
    #: Files in the dataset; `fetched` of them are new, the others were there already.
    files: int
    fetched: int
    bytes: int
    #: Outputs that the bucket could not give as they were stored.
    missing: int
    #: Outputs that the format does not take, by content type.
    left_out: Mapping[str, int]
    #: Outputs with columns that came while it was written; the next export takes them.
    deferred: int
    credits_milli: int
    #: Every job is in a final state, and every output that the format takes is here.
    complete: bool


class Tally:
    """Counts jobs and files as they pass; its size does not grow with theirs."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._operations: dict[str, Counter[str]] = {}
        self._failures: dict[str, dict[str, Any]] = {}
        self._missing: list[dict[str, Any]] = []
        self._missing_count = 0
        self._left_out: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._files = self._fetched = self._bytes = self._credits_milli = self._deferred = 0

    def add_job(self, item: Item) -> None:
        """Count a job, its credits and its failure."""
        self._states[item.state] += 1
        self._operations.setdefault(item.operation, Counter())[item.state] += 1
        self._credits_milli += item.credits_milli
        if item.error is None:
            return
        code = str(item.error.get("code"))
        example = {"row": item.row, "job_id": item.job_id, "message": item.error.get("message")}
        group = self._failures.setdefault(code, {"code": code, "count": 0, "example": example})
        group["count"] += 1

    def add_file(self, item: Item, fetched: Fetched) -> None:
        """Count an output that was asked for."""
        output = fetched.output
        if fetched.missing is None:
            self._files += 1
            self._fetched += fetched.is_new
            self._bytes += output.bytes
            self._types[output.content_type] += 1
            return
        self._missing_count += 1
        if len(self._missing) < MISSING_KEPT:
            why = {"job_id": item.job_id, "output": output.index, "why": fetched.missing}
            self._missing.append({"row": item.row} | why)

    def leave_out(self, output: ItemOutput) -> None:
        """Count an output that the format does not take."""
        self._left_out[output.content_type] += 1

    def defer(self, fetched: Fetched) -> None:
        """Count an output as one for the next export, and no more as a file."""
        self._deferred += 1
        self._files -= 1
        self._fetched -= fetched.is_new
        self._bytes -= fetched.output.bytes
        self._types[fetched.output.content_type] -= 1

    @property
    def content_types(self) -> Set[str]:
        """Those of the files in the dataset."""
        return (+self._types).keys()

    def summary(self) -> Summary:
        """The sums so far."""
        return Summary(
            jobs=self._states.total(),
            by_state=dict(self._states),
            files=self._files,
            fetched=self._fetched,
            bytes=self._bytes,
            missing=self._missing_count,
            left_out=dict(sorted(self._left_out.items())),
            deferred=self._deferred,
            credits_milli=self._credits_milli,
            complete=not (self._missing_count or self._deferred) and FINAL.issuperset(self._states),
        )

    def report(self, about: Mapping[str, Any], form: Form) -> dict[str, Any]:
        """The contents of `dataset.json`."""
        failures = sorted(self._failures.values(), key=lambda group: -group["count"])
        return {
            "format": form,
            "complete": self.summary().complete,
            "jobs": {
                "total": self._states.total(),
                "by_state": dict(sorted(self._states.items())),
                "by_operation": {
                    name: dict(sorted(states.items()))
                    for name, states in sorted(self._operations.items())
                },
            },
            "files": {
                "count": self._files,
                "bytes": self._bytes,
                "missing": self._missing_count,
                "missing_examples": self._missing,
                "left_out": dict(sorted(self._left_out.items())),
                "deferred": self._deferred,
            },
            "credits": self._credits_milli / MILLI,
            "failures": failures,
            "about": dict(about),
        }
