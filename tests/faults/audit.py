"""What became of every job, seen from outside: database, bucket, spool and the API's ledger."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Row, select

from jobs import tallies
from jobs.models import Asset, Output, table
from jobs.states import JobState
from jobs.storage.keys import attempt_prefix
from tests.faults.rig import Rig, is_at_rest
from tests.faults.upstream import Ledger

OUTPUT = table(Output)
ASSET = table(Asset)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The figures of one experiment. Those after `uncertain` have to be 0, whatever was done."""

    jobs: int
    succeeded: int
    held: int
    failed: int
    charges: int
    #: Calls that were charged for a job beyond its first.
    second_charges: int
    #: Attempts whose answer was lost.
    uncertain: int
    #: Jobs that are gone, or neither final nor held.
    lost: int
    #: Charged again although a result id, or the bytes, of an earlier attempt were committed.
    paid_again: int
    #: Second charges of a job beyond its attempts that are marked uncertain or expired.
    unexplained: int
    #: Charges without an intent, or whose attempt neither was answered nor is marked uncertain.
    untold: int
    #: Objects that belong to no attempt and no asset.
    orphans: int
    #: Answers left in the spool.
    spooled: int
    #: Outputs of succeeded jobs that are not there, or are not what their row says.
    missing: int
    #: Counters that differ from a recount.
    miscounted: int
    #: Thousandths of credits by which the jobs' costs differ from the charges of answered attempts.
    credit_gap: int
    #: Results that were asked for twice within the least gap.
    short_polls: int
    #: Answers of 429.
    refusals: int

    def broken(self, allowed: frozenset[str] = frozenset()) -> list[str]:
        """The promises that were not kept; an experiment may allow what it caused itself."""
        names = [field.name for field in fields(self)]
        watched = names[names.index("uncertain") + 1 :]
        values = {name: getattr(self, name) for name in watched if name not in allowed}
        return [f"{name} is {value}, not 0" for name, value in values.items() if value]


def audit(rig: Rig) -> Audit:
    """Compare everything with everything."""
    jobs, attempts, ledger = rig.jobs(), rig.attempts(), rig.upstream.ledger()
    charges = charges_by_attempt(ledger)
    costs = Costs(jobs, attempts, charges)
    states = Counter(job.state for job in jobs)
    at_rest = {job.id for job in jobs if is_at_rest(job)}
    return Audit(
        jobs=len(rig.submitted),
        succeeded=states[JobState.SUCCEEDED],
        held=states[JobState.HELD],
        failed=states[JobState.FAILED],
        charges=len(ledger.charges),
        second_charges=sum(max(0, n - 1) for n in costs.per_job().values()),
        uncertain=sum(attempt.uncertain_at is not None for attempt in attempts),
        lost=len(set(rig.submitted) - at_rest),
        paid_again=costs.paid_again(),
        unexplained=costs.unexplained(),
        untold=costs.untold(),
        orphans=count_orphans(rig, jobs, attempts),
        spooled=len(list((rig.settings.home / "spool").glob("*.body"))),
        missing=sum(1 for _ in missing_outputs(rig, jobs)),
        miscounted=count_miscounted(rig, jobs),
        credit_gap=costs.credit_gap(),
        short_polls=ledger.short_polls,
        refusals=ledger.refusals,
    )


def charges_by_attempt(ledger: Ledger) -> Mapping[str, Sequence[dict[str, Any]]]:
    """The ledger by what we told the API of each call: the attempt's id."""
    found = defaultdict(list)
    for charge in ledger.charges:
        found[str(charge["client_ref"])].append(charge)
    return found


class Costs:
    """The ledger against the record of attempts."""

    def __init__(
        self,
        jobs: Sequence[Row[Any]],
        attempts: Sequence[Row[Any]],
        charges: Mapping[str, Sequence[dict[str, Any]]],
    ) -> None:
        self._jobs = jobs
        self._charges = charges
        self._attempts = {attempt.id: attempt for attempt in attempts}
        self._by_job = defaultdict(list)
        for attempt in sorted(attempts, key=lambda attempt: attempt.number):
            self._by_job[attempt.job_id].append(attempt)

    def per_job(self) -> Counter[str]:
        """How often each job was charged."""
        counts: Counter[str] = Counter()
        for attempt_id, charged in self._charges.items():
            if attempt_id in self._attempts:
                counts[self._attempts[attempt_id].job_id] += len(charged)
        return counts

    def paid_again(self) -> int:
        """Charged attempts that began when an earlier one's answer was committed and good."""
        return sum(
            bool(self._charges.get(attempt.id)) and self._was_answered(attempt)
            for attempt in self._attempts.values()
        )

    def unexplained(self) -> int:
        """Second charges that no lost answer explains."""
        return sum(
            max(0, charged - 1 - sum(map(is_excused, self._by_job[job_id])))
            for job_id, charged in self.per_job().items()
        )

    def untold(self) -> int:
        """Charges that our record does not know of, or takes for unpaid."""
        return sum(
            len(charged)
            for attempt_id, charged in self._charges.items()
            if not self._is_told(attempt_id)
        )

    def credit_gap(self) -> int:
        """What the jobs say they cost, less what the API charged for answered attempts."""
        answered = sum(
            int(charge["credits_milli"])
            for attempt_id, charged in self._charges.items()
            for charge in charged
            if attempt_id in self._attempts and is_answered(self._attempts[attempt_id])
        )
        told = sum(int(job.charged_milli) for job in self._jobs)
        return abs(told - answered)

    def _was_answered(self, later: Row[Any]) -> bool:
        earlier = (a for a in self._by_job[later.job_id] if a.number < later.number)
        for attempt in earlier:
            known_at = attempt.accepted_at or attempt.received_at
            if known_at and known_at < later.begun_at and not is_excused(attempt):
                return True
        return False

    def _is_told(self, attempt_id: str) -> bool:
        attempt = self._attempts.get(attempt_id)
        return attempt is not None and (is_answered(attempt) or attempt.uncertain_at is not None)


def is_answered(attempt: Row[Any]) -> bool:
    """Whether an id or the bytes came."""
    return attempt.accepted_at is not None or attempt.received_at is not None


def is_excused(attempt: Row[Any]) -> bool:
    """Whether what was paid for this attempt was lost, and that is on record."""
    return attempt.uncertain_at is not None or attempt.expired_at is not None


def count_orphans(rig: Rig, jobs: Sequence[Row[Any]], attempts: Sequence[Row[Any]]) -> int:
    """Objects that nobody owns."""
    projects = {job.id: job.project_id for job in jobs}
    owned = {
        attempt_prefix(projects[attempt.job_id], attempt.job_id, attempt.number)
        for attempt in attempts
    }
    with rig.database.reading() as db:
        assets = set(db.execute(select(ASSET.c.key)).scalars())
    keys = set(rig.storage.list("")) - assets
    return sum(key[: key.rindex("-") + 1] not in owned for key in keys)


def missing_outputs(rig: Rig, jobs: Sequence[Row[Any]]) -> Iterator[str]:
    """The jobs that say they succeeded, and whose object is not there or is another."""
    with rig.database.reading() as db:
        outputs = {row.job_id: row for row in db.execute(select(OUTPUT)).all()}
    for job in jobs:
        if job.state != JobState.SUCCEEDED:
            continue
        row = outputs.get(job.id)
        if row is None or rig.storage.head(row.key) is None:
            yield job.id
            continue
        with closing(rig.storage.open(row.key)) as stream:
            if hashlib.sha256(stream.read()).hexdigest() != row.sha256:
                yield job.id


def count_miscounted(rig: Rig, jobs: Sequence[Row[Any]]) -> int:
    """By how much the counters differ from the rows."""
    with rig.database.reading() as db:
        told = tallies.counts(db)
    recount = Counter(JobState(job.state) for job in jobs)
    states = set(recount) | set(told.by_state)
    wrong = sum(abs(recount[state] - told.by_state.get(state, 0)) for state in states)
    charged = sum(int(job.charged_milli) for job in jobs)
    return wrong + int(told.charged_milli != charged)
