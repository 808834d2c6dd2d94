"""When a paid call had arrived at the latest, as far as its caller knows."""

import io

import pytest

from jobs.catalog.loader import operation
from jobs.stability.form import Body
from workers.executor import latest_arrival

SYNC = operation("generate/core")
ASYNC = operation("upscale/creative")


def body_of(sent_at: float | None) -> Body:
    body = Body(io.BytesIO(), 0, "application/json")
    body.sent_at = sent_at
    return body


@pytest.mark.parametrize("entry", [SYNC, ASYNC], ids=lambda entry: entry.mode)
def test_without_an_answer_only_this_moment_bounds_it(entry: object) -> None:
    body = body_of(2.0)

    assert latest_arrival(entry, body, answered_at=None, reach_seconds=0.3) is None  # type: ignore[arg-type]


def test_an_asynchronous_call_is_answered_at_once() -> None:
    assert latest_arrival(ASYNC, body_of(2.0), answered_at=9.0, reach_seconds=0.3) == 9.0


def test_a_synchronous_call_arrives_soon_after_its_last_byte() -> None:
    found = latest_arrival(SYNC, body_of(2.0), answered_at=9.0, reach_seconds=0.3)

    assert found == 2.3


def test_a_quick_answer_says_more() -> None:
    assert latest_arrival(SYNC, body_of(2.0), answered_at=2.01, reach_seconds=0.3) == 2.01


def test_an_answer_to_half_a_body_is_all_that_is_known() -> None:
    assert latest_arrival(SYNC, body_of(None), answered_at=9.0, reach_seconds=0.3) == 9.0
