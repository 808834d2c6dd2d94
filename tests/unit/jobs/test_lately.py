"""What was found out lately is not looked up again, until it is old or was changed."""

from jobs.lately import MOST_KNOWN, Lately


class Looks:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> int:
        self.number += 1
        return self.number


def test_one_look_serves_all_who_ask_the_same() -> None:
    lately, look = Lately(60), Looks()

    assert [lately.recall("a", look) for _ in range(3)] == [1, 1, 1]
    assert lately.recall("b", look) == 2


def test_what_is_too_old_is_looked_up_again() -> None:
    lately, look = Lately(0), Looks()

    assert [lately.recall("a", look) for _ in range(2)] == [1, 2]


def test_what_is_forgotten_while_somebody_looks_does_not_come_back() -> None:
    lately, look = Lately(60), Looks()

    def look_and_change() -> int:
        lately.forget()
        return look()

    assert lately.recall("a", look_and_change) == 1
    assert lately.recall("a", look) == 2


def test_only_so_much_is_known() -> None:
    lately, look = Lately(60), Looks()
    for number in range(MOST_KNOWN):
        lately.recall(number, look)

    lately.recall("one more", look)

    assert lately.recall(0, look) == MOST_KNOWN + 2
