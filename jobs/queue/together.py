"""The guarded change of `moves`, for jobs of one worker that take the same step together.

A step costs as many statements for a hundred jobs as for one: on the busiest path it is their
number, and not their rows, that takes the time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Update, bindparam, func, update

from jobs.queue.moves import INSERT_EVENT, JOB, Claim, event_row
from jobs.states import FINAL, JobState, can_move


@dataclass(frozen=True, kw_only=True)
class Move:
    """One job's way to its next state; `changes` are values, and no expressions."""

    claim: Claim
    target: JobState
    verb: str | None
    #: A state on the way, and the verb that leads there: both steps are one change, and two events.
    via: tuple[JobState, str] | None = None
    note: str | None = None
    charged_milli: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)


class Contested(Exception):
    """Some of the jobs belong to somebody else: only one by one it shows which."""


def move_each(
    db: Connection, moves: Sequence[Move], now: datetime, *, keeps_lease: bool = False
) -> list[bool]:
    """Bring each job to its target unless somebody else owns it by now; tell for which it was done.

    All moves change the same columns. Raises Contested when only some of several were done: undo
    the transaction and bring each alone, which is rare and then always gets an answer. The rows
    are written in the order of their ids, so that two workers who meet wait for each other and not
    in a circle.
    """
    for move in moves:
        check_way(move)
    ordered = sorted(moves, key=lambda move: move.claim.id)
    done = change_each(db, ordered, now, keeps_lease=keeps_lease)
    if done != len(moves) and len(moves) > 1:
        raise Contested(f"{done} of {len(moves)} jobs were still their claims'")
    if done == 0:
        return [False] * len(moves)
    told = [event for move in moves for event in events_of(move, now)]
    if told:
        db.execute(INSERT_EVENT, told)
    return [True] * len(moves)


def check_way(move: Move) -> None:
    """Raise ValueError for a change of state that there is not."""
    way = [move.claim.state, *([move.via[0]] if move.via else []), move.target]
    for origin, target in pairwise(way):
        if origin != target and not can_move(origin, target):
            raise ValueError(f"{move.verb}: no way from {origin} to {target}")


def events_of(move: Move, now: datetime) -> Iterator[dict[str, Any]]:
    """What the history says of a move; a charge is told with the first step."""
    claim, charged_milli = move.claim, move.charged_milli
    if move.via is not None:
        state, verb = move.via
        yield event_row(claim, state, now, verb=verb, note=None, charged_milli=charged_milli)
        claim, charged_milli = replace(claim, state=state), 0
    if move.verb is not None:
        yield event_row(
            claim, move.target, now, verb=move.verb, note=move.note, charged_milli=charged_milli
        )


def values_of(move: Move, now: datetime, *, keeps_lease: bool) -> dict[str, Any]:
    """The columns' new values, as parameters of `update_statement`."""
    values = {"state": move.target, "charged_milli": move.charged_milli, **move.changes}
    if not keeps_lease:
        values |= {"lease_owner": None, "lease_until": None}
    if move.target in FINAL:
        values |= {"finished_at": now, "due_at": None, "held_for": None}
    return values


def change_each(db: Connection, moves: Sequence[Move], now: datetime, *, keeps_lease: bool) -> int:
    """Write the new values of the rows that are still their claims'; returns their number."""
    if not moves:
        return 0
    changes = [values_of(move, now, keeps_lease=keeps_lease) for move in moves]
    rows = [
        {f"new_{name}": value for name, value in values.items()}
        | {
            "job_id": move.claim.id,
            "old_state": move.claim.state,
            "old_fence": move.claim.fence,
        }
        for move, values in zip(moves, changes, strict=True)
    ]
    return db.execute(update_statement(tuple(changes[0])), rows).rowcount


@cache
def update_statement(columns: tuple[str, ...]) -> Update:
    """One row's update of these columns; SQLAlchemy compiles it once."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    # A charge may have been added by a worker that was fenced off, without the row being ours.
    values["charged_milli"] = JOB.c.charged_milli + bindparam("new_charged_milli")
    if "started_at" in columns:
        new = bindparam("new_started_at", type_=JOB.c.started_at.type)
        values["started_at"] = func.coalesce(JOB.c.started_at, new)
    return (
        update(JOB)
        .where(
            JOB.c.id == bindparam("job_id"),
            JOB.c.state == bindparam("old_state"),
            JOB.c.fence == bindparam("old_fence"),
        )
        .values(values)
    )
