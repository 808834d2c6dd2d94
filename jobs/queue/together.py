"""The guarded change of `moves`, for jobs of one worker that take the same step together.

A step costs as many statements for a hundred jobs as for one: on the busiest path it is their
number, and not their rows, that takes the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, func, insert, select, update

from jobs.queue.moves import EVENT, JOB, Claim, event_row
from jobs.states import FINAL, JobState, can_move


@dataclass(frozen=True, kw_only=True)
class Move:
    """One job's way to its next state; `changes` are values, and no expressions."""

    claim: Claim
    target: JobState
    verb: str | None
    note: str | None = None
    charged_milli: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)


def move_each(
    db: Connection, moves: Sequence[Move], now: datetime, *, keeps_lease: bool = False
) -> list[bool]:
    """Bring each job to its target unless somebody else owns it by now; tell for which it was done.

    All moves change the same columns. The rows are locked in the order of their ids, so that two
    workers who meet wait for each other and not in a circle.
    """
    for move in moves:
        check_way(move)
    owned = owned_by_claim(db, [move.claim for move in moves])
    kept = [move for move in moves if move.claim.id in owned]
    if kept:
        changes = [values_of(move, now, keeps_lease=keeps_lease) for move in kept]
        change_each(db, [move.claim for move in kept], changes)
        told = [
            event_row(
                move.claim,
                move.target,
                now,
                verb=move.verb,
                note=move.note,
                charged_milli=move.charged_milli,
            )
            for move in kept
            if move.verb is not None
        ]
        if told:
            db.execute(insert(EVENT), told)
    return [move.claim.id in owned for move in moves]


def check_way(move: Move) -> None:
    """Raise ValueError for a change of state that there is not."""
    origin, target = move.claim.state, move.target
    if origin != target and not can_move(origin, target):
        raise ValueError(f"{move.verb}: no way from {origin} to {target}")


def owned_by_claim(db: Connection, claims: Sequence[Claim]) -> frozenset[str]:
    """The jobs that are still their claims', locked."""
    known = {claim.id: (claim.state, claim.fence) for claim in claims}
    rows = db.execute(
        select(JOB.c.id, JOB.c.state, JOB.c.fence)
        .where(JOB.c.id.in_(list(known)))
        .order_by(JOB.c.id)
        .with_for_update()
    )
    return frozenset(row.id for row in rows if known[row.id] == (row.state, row.fence))


def values_of(move: Move, now: datetime, *, keeps_lease: bool) -> dict[str, Any]:
    """The columns' new values, as parameters of `update_statement`."""
    values = {"state": move.target, "charged_milli": move.charged_milli, **move.changes}
    if not keeps_lease:
        values |= {"lease_owner": None, "lease_until": None}
    if move.target in FINAL:
        values |= {"finished_at": now, "due_at": None, "held_for": None}
    return values


def change_each(db: Connection, claims: Sequence[Claim], changes: Sequence[dict[str, Any]]) -> None:
    """Write the new values of locked rows."""
    rows = [
        {f"new_{name}": value for name, value in values.items()} | {"job_id": claim.id}
        for claim, values in zip(claims, changes, strict=True)
    ]
    done = db.execute(update_statement(tuple(changes[0])), rows)
    if done.rowcount != len(rows):
        raise RuntimeError(f"{len(rows)} locked jobs, and {done.rowcount} changed")


@cache
def update_statement(columns: tuple[str, ...]) -> Update:
    """One row's update of these columns; SQLAlchemy compiles it once."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    # A charge may have been added by a worker that was fenced off, without the row being ours.
    values["charged_milli"] = JOB.c.charged_milli + bindparam("new_charged_milli")
    if "started_at" in columns:
        values["started_at"] = func.coalesce(JOB.c.started_at, bindparam("new_started_at"))
    return update(JOB).where(JOB.c.id == bindparam("job_id")).values(values)
