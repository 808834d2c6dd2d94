"""Items that wait at the same time are answered together, and each gets its own answer."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy.exc import OperationalError

from api.gathering import MOST_TOGETHER, Gathering


class Halves:
    """Halves numbers; an odd one spoils what is done together, and a negative one is refused."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.asked.append(list(numbers))
        if any(number % 2 for number in numbers):
            raise ValueError("odd")
        return [KeyError(number) if number < 0 else number // 2 for number in numbers]


Answer = Callable[[Sequence[int]], Sequence[int | Exception]]


def answers(answer: Answer, *numbers: int) -> list[int | BaseException]:
    async def ask() -> list[int | BaseException]:
        gathering = Gathering(answer)
        asking = (gathering.join(number) for number in numbers)
        return await asyncio.gather(*asking, return_exceptions=True)

    return asyncio.run(ask())


def test_what_waits_at_the_same_time_is_answered_together() -> None:
    halves = Halves()
    numbers = range(0, 2 * MOST_TOGETHER + 4, 2)

    assert answers(halves, *numbers) == [number // 2 for number in numbers]
    assert [len(numbers) for numbers in halves.asked] == [MOST_TOGETHER, 2]


def test_whoever_spoils_it_for_all_is_the_only_one_to_be_told() -> None:
    halves = Halves()

    first, spoiler, last = answers(halves, 2, 3, 4)

    assert (first, last) == (1, 2)
    assert isinstance(spoiler, ValueError)
    assert halves.asked == [[2, 3, 4], [2], [3], [4]]


def test_what_a_database_may_have_done_before_it_was_away_is_asked_once() -> None:
    asked: list[list[int]] = []

    def lose_the_answer(numbers: Sequence[int]) -> list[int | Exception]:
        asked.append(list(numbers))
        raise OperationalError("COMMIT", {}, Exception("the connection is lost"))

    told = answers(lose_the_answer, 2, 4, 6)

    assert [type(error) for error in told] == [OperationalError] * 3
    assert asked == [[2, 4, 6]]


def test_one_that_is_refused_costs_the_others_nothing() -> None:
    halves = Halves()

    first, refused = answers(halves, 2, -2)

    assert first == 1
    assert isinstance(refused, KeyError)
    assert halves.asked == [[2, -2]]


def test_whoever_has_gone_is_not_missed() -> None:
    async def ask() -> int:
        gathering = Gathering(Halves())
        gone = asyncio.create_task(gathering.join(2))
        stays = asyncio.create_task(gathering.join(4))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        # It is of use again after all were answered.
        return await stays + await gathering.join(6)

    assert asyncio.run(ask()) == 5
