"""The queue under everything that can happen to it, in any order, against a ledger of our own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select, update

from jobs import batches, tallies
from jobs.batches import reserved_now
from jobs.db import Database
from jobs.errors import Conflict
from jobs.models import DEFAULT_PROJECT
from jobs.queue import bulk, deadlines, desk, leases
from jobs.queue.bulk import Bulk
from jobs.queue.intake import submit
from jobs.queue.moves import BATCH, JOB
from jobs.settings import OnUncertain
from jobs.states import FINAL
from tests import strategies
from tests.factories import ATTEMPT, LEASE, NOW, make_batch, new_job
from tests.property import accounts
from tests.property.worker import Work, World, step
from tests.strategies import Fate, PollFate

#: Rounds of claim, take and step after which every job has ended if nothing goes wrong any more.
MOST_ROUNDS = 60


class QueueMachine(RuleBasedStateMachine):
    """All that producers, workers, people and accidents do to jobs. Nothing is committed."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.now = NOW
        self.world = World()
        self.jobs: list[str] = []
        self.batches: list[str] = []
        self.messages: list[str] = []
        self.delivered: list[str] = []
        self.works: list[Work] = []
        self.ended: dict[str, str] = {}
        self.connection = database.engine.connect()
        self.transaction = self.connection.begin()

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """One change by somebody, which is undone if it fails."""
        with self.connection.begin_nested():
            yield self.connection

    def desk(self, verb: Callable[..., object], choice: int, **options: object) -> str:
        """Let a person do something to a job, who may be told that it cannot be done."""
        job_id = self.jobs[choice % len(self.jobs)]
        with suppress(Conflict), self.change() as db:
            verb(db, DEFAULT_PROJECT, job_id, self.now, **options)
        return job_id

    # Producers

    @rule(policy=strategies.policies)
    def submit_job(self, policy: OnUncertain) -> None:
        with self.change() as db:
            job = new_job(on_uncertain=policy)
            self.jobs += submit(db, [job], self.now, project_id=DEFAULT_PROJECT)

    @initialize(policy=strategies.policies, budget=strategies.budgets, size=strategies.choices)
    def begin(self, policy: OnUncertain, budget: int | None, size: int) -> None:
        self.submit_batch(policy, budget, size)

    @rule(policy=strategies.policies, budget=strategies.budgets, size=strategies.choices)
    def submit_batch(self, policy: OnUncertain, budget: int | None, size: int) -> None:
        with self.change() as db:
            batch_id = make_batch(db, budget_milli=budget, loaded_at=NOW)
            rows = [new_job(row=row, on_uncertain=policy) for row in range(1 + size % 4)]
            self.jobs += submit(db, rows, self.now, project_id=DEFAULT_PROJECT, batch_id=batch_id)
        self.batches.append(batch_id)

    @precondition(lambda self: self.batches)
    @rule(choice=strategies.choices, room=strategies.budgets)
    def change_budget(self, choice: int, room: int | None) -> None:
        with self.change() as db:
            batch_id = self.batches[choice % len(self.batches)]
            budget = None if room is None else reserved_now(db, batch_id) + room
            batches.change(db, DEFAULT_PROJECT, batch_id, self.now, budget_milli=budget)

    # Dispatcher, broker and workers

    @rule(limit=strategies.choices)
    def claim(self, limit: int) -> None:
        with self.change() as db:
            self.messages += leases.claim_due(db, self.now, limit=1 + limit, lease=LEASE)

    @precondition(lambda self: self.messages)
    @rule(choice=strategies.choices)
    def lose_message(self, choice: int) -> None:
        self.messages.pop(choice % len(self.messages))

    @precondition(lambda self: self.messages)
    @rule(choice=strategies.choices)
    def return_message(self, choice: int) -> None:
        job_id = self.messages.pop(choice % len(self.messages))
        with self.change() as db:
            leases.unclaim(db, [job_id], self.now)

    @precondition(lambda self: self.messages)
    @rule(choice=strategies.choices)
    def take(self, choice: int) -> None:
        job_id = self.messages.pop(choice % len(self.messages))
        with self.change() as db:
            taken = leases.take(db, [job_id], self.now, owner="worker", lease=LEASE)
        self.works += map(Work, taken)
        self.delivered.append(job_id)

    @precondition(lambda self: self.delivered)
    @rule(choice=strategies.choices)
    def take_twice(self, choice: int) -> None:
        job_id = self.delivered.pop(choice % len(self.delivered))
        with self.change() as db:
            was_dispatched = job_id in self._dispatched(db)
            taken = leases.take(db, [job_id], self.now, owner="worker", lease=LEASE)
        assert was_dispatched or not taken
        self.works += map(Work, taken)

    @precondition(lambda self: self.works)
    @rule(choice=strategies.choices, fate=strategies.fates, poll_fate=strategies.poll_fates)
    def work(self, choice: int, fate: Fate, poll_fate: PollFate) -> None:
        work = self.works.pop(choice % len(self.works))
        with self.change() as db:
            following = step(db, self.world, work, self.now, fate, poll_fate)
            if following is not None and following.fate is not None:
                self._check_never_paid_again(db, following)
        self.works += [following] if following is not None else []

    @rule(courses=strategies.courses)
    def go_on(self, courses: list[tuple[Fate, PollFate]]) -> None:
        """The usual course of things, which single rules would come upon too seldom."""
        for fate, poll_fate in courses:
            self.now += timedelta(seconds=10)
            self.claim(limit=2)
            while self.messages:
                self.take(0)
            for _ in range(len(self.works)):
                self.work(0, fate, poll_fate)

    @precondition(lambda self: self.works)
    @rule(choice=strategies.choices)
    def give_back(self, choice: int) -> None:
        work = self.works[choice % len(self.works)]
        if work.fate is None:
            self.works.remove(work)
            with self.change() as db:
                leases.give_back(db, work.claim, self.now)

    @precondition(lambda self: self.works)
    @rule(choice=strategies.choices)
    def crash(self, choice: int) -> None:
        self.works.pop(choice % len(self.works))

    @precondition(lambda self: self.world.bytes)
    @rule(choice=strategies.choices)
    def lose_spool(self, choice: int) -> None:
        spooled = sorted(self.world.bytes)
        self.world.bytes.remove(spooled[choice % len(spooled)])

    # Maintenance

    @rule(minutes=strategies.minutes)
    def rescue_later(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        with self.change() as db:
            leases.rescue(db, self.now)

    @rule()
    def rescue_the_dead(self) -> None:
        with self.change() as db:
            leases.rescue(db, self.now, dead=["worker"])

    @rule()
    def release(self) -> None:
        with self.change() as db:
            desk.release_budgeted(db, self.now)
            desk.release_funded(db, self.now)

    @precondition(lambda self: self.jobs)
    @rule(choice=strategies.choices)
    def expire(self, choice: int) -> None:
        with self.change() as db:
            job_id = self.jobs[choice % len(self.jobs)]
            db.execute(update(JOB).where(JOB.c.id == job_id).values(expires_at=NOW))
            deadlines.expire_unstarted(db, self.now + timedelta(seconds=1))
            db.execute(update(JOB).where(JOB.c.id == job_id).values(expires_at=None))

    @rule()
    def fold(self) -> None:
        with self.change() as db:
            tallies.fold(db)

    # People

    @precondition(lambda self: self.jobs)
    @rule(choice=strategies.choices)
    def cancel(self, choice: int) -> None:
        self.desk(desk.cancel, choice)

    @precondition(lambda self: self.batches)
    @rule(choice=strategies.choices)
    def cancel_batch(self, choice: int) -> None:
        self._do_to_batch(Bulk.CANCEL, choice)

    @precondition(lambda self: self.batches)
    @rule(choice=strategies.choices)
    def retry_batch(self, choice: int) -> None:
        self._do_to_batch(Bulk.RETRY, choice)
        rows = self.connection.execute(select(JOB.c.id).where(JOB.c.state.in_(FINAL)))
        still_over = set(rows.scalars())
        self.ended = {i: state for i, state in self.ended.items() if i in still_over}

    def _do_to_batch(self, verb: Bulk, choice: int) -> None:
        batch_id = self.batches[choice % len(self.batches)]
        # One that has finished is not canceled.
        with suppress(Conflict), self.change() as db:
            bulk.begin(db, batch_id, verb, self.now)
            while not bulk.go_on(db, batch_id, self.now, limit=2).is_over:
                pass

    @precondition(lambda self: self.ended)
    @rule(choice=strategies.choices)
    def retry(self, choice: int) -> None:
        job_id = self.desk(
            desk.retry, self.jobs.index(sorted(self.ended)[choice % len(self.ended)])
        )
        self.ended.pop(job_id, None)

    @precondition(lambda self: self.jobs)
    @rule(choice=strategies.choices)
    def resubmit(self, choice: int) -> None:
        self.desk(desk.resolve, choice, decision="resubmit")

    @precondition(lambda self: self.jobs)
    @rule(choice=strategies.choices)
    def give_up(self, choice: int) -> None:
        self.desk(desk.resolve, choice, decision="give-up")

    # What is always true

    @invariant()
    def no_job_is_lost(self) -> None:
        accounts.check_no_job_is_lost(self.connection)

    @invariant()
    def each_further_attempt_has_a_reason(self) -> None:
        accounts.check_attempts_have_reasons(self.connection)

    @invariant()
    def counters_equal_a_recount(self) -> None:
        accounts.check_counters(self.connection)
        accounts.check_credits(self.connection, self.world.paid)

    @invariant()
    def budgets_hold(self) -> None:
        accounts.check_budgets(self.connection)

    @invariant()
    def final_states_are_final(self) -> None:
        rows = self.connection.execute(select(JOB.c.id, JOB.c.state).where(JOB.c.state.in_(FINAL)))
        ended = {row.id: row.state for row in rows}
        assert {job_id: ended.get(job_id) for job_id in self.ended} == self.ended
        self.ended = ended

    def teardown(self) -> None:
        """Let every job end, when nothing goes wrong any more."""
        try:
            self._let_all_end()
        finally:
            self.transaction.rollback()
            self.connection.close()

    def _let_all_end(self) -> None:
        db = self.connection
        db.execute(update(BATCH).values(budget_milli=None))
        for _ in range(MOST_ROUNDS):
            if self._is_all_over(db):
                break
            self.now += 2 * LEASE
            leases.rescue(db, self.now)
            desk.release_budgeted(db, self.now)
            desk.release_funded(db, self.now)
            for choice in range(len(self.jobs)):
                self.desk(desk.resolve, choice, decision="give-up")
            due = leases.claim_due(db, self.now, limit=100, lease=LEASE)
            self.works += map(Work, leases.take(db, due, self.now, owner="worker", lease=LEASE))
            while self.works:
                self.work(0, Fate.ACCEPTED, PollFate.MEDIA)
        assert self._is_all_over(db)
        accounts.check_counters(db)
        accounts.check_credits(db, self.world.paid)

    def _is_all_over(self, db: Connection) -> bool:
        return set(db.execute(select(JOB.c.state)).scalars()) <= FINAL

    def _dispatched(self, db: Connection) -> set[str]:
        return set(db.execute(select(JOB.c.id).where(JOB.c.lease_owner == "dispatched")).scalars())

    def _check_never_paid_again(self, db: Connection, work: Work) -> None:
        earlier = select(ATTEMPT).where(
            ATTEMPT.c.job_id == work.claim.id,
            ATTEMPT.c.id != work.claim.attempt_id,
            ATTEMPT.c.result_id.is_not(None),
            ATTEMPT.c.expired_at.is_(None),
        )
        assert db.execute(earlier).all() == []


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 100), ("postgres", 20)])
def test_the_queue_keeps_its_promises(
    kind: str, examples: int, request: pytest.FixtureRequest
) -> None:
    database = Database(request.getfixturevalue(f"{kind}_url"))

    run_state_machine_as_test(
        lambda: QueueMachine(database),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            derandomize="CI" in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    database.close()
