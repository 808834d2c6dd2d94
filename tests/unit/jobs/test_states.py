import re
from itertools import pairwise
from pathlib import Path

import pytest

from jobs.states import FINAL, MOVES, PAID, JobState, can_move
from tests.factories import STORIES

PICTURE = Path(__file__).parents[3] / "docs" / "state_machine.md"
ARROW = re.compile(r"^ +(\w+) --> (\w+)(?: *: *(.+))?$", re.MULTILINE)


def arrows() -> set[tuple[str, str]]:
    """The moves that the picture shows, without those from the start and to the end."""
    return {(origin, target) for origin, target, _ in ARROW.findall(PICTURE.read_text("utf-8"))}


def test_the_picture_shows_every_move_and_no_other() -> None:
    moves = {(str(origin), str(target)) for origin in MOVES for target in MOVES[origin]}

    assert arrows() == moves


def test_every_arrow_of_the_picture_has_its_verb() -> None:
    assert [arrow for *arrow, verb in ARROW.findall(PICTURE.read_text("utf-8")) if not verb] == []


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(JobState)


@pytest.mark.parametrize("state", JobState)
def test_a_state_without_an_end_leads_to_one(state: JobState) -> None:
    reached, border = {state}, {state}
    while border:
        border = {target for origin in border for target in MOVES[origin]} - reached
        reached |= border

    assert reached & FINAL


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_left_only_to_be_queued_or_to_wait_again(state: JobState) -> None:
    assert MOVES[state] <= {JobState.QUEUED, JobState.WAITING}


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FILTERED])
def test_what_has_its_outputs_is_never_left(state: JobState) -> None:
    assert MOVES[state] == frozenset()


@pytest.mark.parametrize("state", sorted(PAID))
def test_what_may_be_paid_is_never_canceled(state: JobState) -> None:
    assert not can_move(state, JobState.CANCELED)


@pytest.mark.parametrize("state", JobState)
def test_only_what_was_received_can_succeed(state: JobState) -> None:
    assert can_move(state, JobState.SUCCEEDED) == (state == JobState.STORING)


@pytest.mark.parametrize("state", JobState)
def test_the_jobs_that_tests_make_came_by_legal_moves(state: JobState) -> None:
    way = [target for _, target in STORIES[state]]

    assert way[-1] == state
    assert all(can_move(origin, target) for origin, target in pairwise(way))
