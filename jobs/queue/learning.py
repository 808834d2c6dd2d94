"""What is learned of paid calls: facts are added to attempts by whoever has them, owner or not."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, update

from jobs.models import Attempt, table
from jobs.queue.moves import Claim
from jobs.queue.together import Contested

ATTEMPT = table(Attempt)

#: The first answer to an attempt.
LEARN = (
    update(ATTEMPT)
    .where(
        ATTEMPT.c.id == bindparam("attempt"),
        ATTEMPT.c.accepted_at.is_(None),
        ATTEMPT.c.received_at.is_(None),
    )
    .values(
        accepted_at=bindparam("accepted"),
        received_at=bindparam("received"),
        result_id=bindparam("result"),
    )
)
#: The bytes of an attempt that was answered with an id, and paid, before.
RECEIVE = (
    update(ATTEMPT)
    .where(ATTEMPT.c.id == bindparam("attempt"))
    .values(
        received_at=func.coalesce(
            ATTEMPT.c.received_at, bindparam("received", type_=ATTEMPT.c.received_at.type)
        )
    )
)


def note_attempt(db: Connection, claim: Claim, **facts: Any) -> None:
    """Add facts to the claim's attempt; what is known already stays."""
    if claim.attempt_id is None:
        return
    db.execute(
        update(ATTEMPT)
        .where(ATTEMPT.c.id == claim.attempt_id)
        .values({name: func.coalesce(ATTEMPT.c[name], value) for name, value in facts.items()})
    )


def learn_answer(
    db: Connection, claim: Claim, now: datetime, *, result_id: str | None = None
) -> int:
    """`learn_answers` for one attempt."""
    return learn_answers(db, [(claim, result_id)], now)[0]


def learn_answers(
    db: Connection, answers: Sequence[tuple[Claim, str | None]], now: datetime
) -> list[int]:
    """Write down that attempts were answered, and so paid: with an id, or with the bytes (None).

    Returns for each the thousandths of a credit that are news: an answer may be learned twice, by
    a slow worker and by its heir, but it is paid once. Raises Contested as `move_each` does.
    """
    ordered = sorted(answers, key=lambda answer: answer[0].attempt_id or "")
    fetched = [claim for claim, result_id in ordered if is_fetched(claim, result_id)]
    if fetched:
        db.execute(RECEIVE, [{"attempt": claim.attempt_id, "received": now} for claim in fetched])
    are_news = learn_first(db, [answer for answer in ordered if not is_fetched(*answer)], now)
    return [
        claim.estimated_milli if are_news and not is_fetched(claim, result_id) else 0
        for claim, result_id in answers
    ]


def is_fetched(claim: Claim, result_id: str | None) -> bool:
    """Whether these are the bytes behind an id, which was paid when that came."""
    return result_id is None and claim.accepted_at is not None


def learn_first(db: Connection, answers: Sequence[tuple[Claim, str | None]], now: datetime) -> bool:
    """Write down what should be the first answers to attempts; tells whether they were."""
    if not answers:
        return False
    facts = [
        {
            "attempt": claim.attempt_id,
            "accepted": None if result_id is None else now,
            "received": now if result_id is None else None,
            "result": result_id,
        }
        for claim, result_id in answers
    ]
    first = db.execute(LEARN, facts).rowcount
    if first == len(answers):
        return True
    if len(answers) > 1:
        raise Contested(f"{first} of {len(answers)} answers are news")
    ((claim, result_id),) = answers
    column = ATTEMPT.c.received_at if result_id is None else ATTEMPT.c.accepted_at
    note_attempt(db, claim, **{column.name: now})
    return False
