"""How far away the API is, learned from quick answers."""

import pytest

from workers.distance import FAR, Distance


def test_as_long_as_nothing_is_known_it_is_far() -> None:
    distance = Distance()

    assert (distance.seconds, distance.age) == (FAR, float("inf"))


def test_answers_that_come_alike_bring_it_near_to_their_mean() -> None:
    distance = Distance()

    for _ in range(60):
        distance.learn(0.02)

    assert distance.seconds == pytest.approx(0.02, rel=0.01)
    assert distance.age < 60


def test_answers_that_vary_leave_room_for_the_slow_ones() -> None:
    distance = Distance()

    for number in range(200):
        distance.learn(0.1 if number % 2 else 0.3)

    assert 0.5 < distance.seconds < 0.8


def test_one_stalled_answer_says_little_of_the_others() -> None:
    distance = Distance()
    for number in range(200):
        distance.learn(0.1 if number % 2 else 0.3)
    before = distance.seconds

    distance.learn(3.0)

    assert before < distance.seconds < 2 * before


def test_even_the_first_answer_may_have_been_stalled() -> None:
    distance = Distance()

    distance.learn(3.0)

    assert distance.seconds < 2 * FAR


@pytest.mark.parametrize("before", [0.02, 0.1])
def test_a_way_that_has_become_longer_is_believed_after_a_few_answers(before: float) -> None:
    distance = Distance()
    for _ in range(200):
        distance.learn(before)

    for _ in range(8):
        distance.learn(0.3)

    assert distance.seconds > 0.3
