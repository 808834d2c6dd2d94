"""The sandbox's rate limit: an exact sliding log and a lock-out."""

from datetime import timedelta

from jobs.settings import Rate
from jobs.stability.sandbox.window import Window

THREE_IN_TEN = Rate(requests=3, window=timedelta(seconds=10))


def test_the_request_beyond_the_limit_is_refused() -> None:
    window = Window(THREE_IN_TEN, freeze_seconds=60)

    answers = [window.admit(at) for at in (0.0, 1.0, 2.0, 9.9)]

    assert answers == [True, True, True, False]


def test_a_slot_is_free_again_exactly_one_window_after_its_arrival() -> None:
    window = Window(THREE_IN_TEN, freeze_seconds=60)

    answers = [window.admit(at) for at in (0.0, 1.0, 2.0, 10.0, 11.0, 11.9)]

    assert answers == [True, True, True, True, True, False]


def test_requests_during_a_lock_out_are_refused_and_do_not_prolong_it() -> None:
    window = Window(THREE_IN_TEN, freeze_seconds=60)
    for at in (0.0, 0.0, 0.0, 0.0):
        window.admit(at)

    during = [window.admit(at) for at in (1.0, 30.0, 59.9)]

    assert during == [False, False, False]
    assert window.admit(60.0)


def test_an_arrival_that_is_served_late_counts_where_it_arrived() -> None:
    window = Window(THREE_IN_TEN, freeze_seconds=60)
    for at in (0.0, 9.0, 9.5):
        window.admit(at)

    late, next_one = window.admit(8.0), window.admit(17.9)

    assert not late
    assert not next_one


def test_the_fullest_window_counts_refused_requests_too() -> None:
    window = Window(THREE_IN_TEN, freeze_seconds=60)

    for at in (0.0, 1.0, 2.0, 3.0, 4.0, 30.0):
        window.admit(at)

    assert window.max_in_window == 5


def test_without_a_rate_everything_is_admitted_and_still_counted() -> None:
    window = Window(None, freeze_seconds=60)

    answers = [window.admit(at / 100) for at in range(500)]

    assert all(answers)
    assert window.max_in_window == 500


def test_an_injected_lock_out_refuses_without_any_request_before_it() -> None:
    window = Window(None, freeze_seconds=60)

    window.freeze(5.0)

    assert not window.admit(64.9)
    assert window.admit(65.0)
