"""Turns by weight: whatever the parties weigh and however large the claims are."""

from collections import Counter
from collections.abc import Callable
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from jobs.queue import turns
from jobs.queue.turns import Party, Ring, Turn

WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9), min_size=1)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=30)


def finder(parties: list[Party]) -> Callable[[str | None], Party | None]:
    """As the index finds them: in the order of their keys."""
    ordered = sorted(parties, key=lambda party: party.key)
    return lambda last: next((p for p in ordered if last is None or p.key > last), None)


def claim(turn: Turn, parties: list[Party], size: int) -> list[str]:
    """Who starts, in a claim of this size."""
    ring = Ring(turn, finder(parties))
    started = []
    while len(started) < size and (key := ring.next()) is not None:
        started.append(key)
    return started


def test_a_party_of_weight_three_starts_three_where_another_starts_one() -> None:
    parties = [Party("heavy", 3), Party("light", 1)]
    turn = Turn()

    started = list(chain.from_iterable(claim(turn, parties, 1) for _ in range(100)))

    windows = [Counter(started[at : at + 40]) for at in range(len(started) - 39)]
    assert set(map(str, windows)) == {str(Counter(heavy=30, light=10))}


@given(weights=WEIGHTS, sizes=SIZES)
def test_everybody_gets_what_they_weigh_however_large_the_claims(
    weights: dict[str, int], sizes: list[int]
) -> None:
    parties = [Party(key, weight) for key, weight in weights.items()]
    turn, round_size = Turn(), sum(weights.values())

    started = list(chain.from_iterable(claim(turn, parties, size) for size in sizes))

    assert len(started) == sum(sizes)
    for at in range(len(started) - round_size + 1):
        assert Counter(started[at : at + round_size]) == weights


@given(weights=WEIGHTS, sizes=SIZES, newcomer=st.integers(0, 29))
def test_a_newcomer_waits_for_one_round_at_the_most(
    weights: dict[str, int], sizes: list[int], newcomer: int
) -> None:
    parties = [Party(key, weight) for key, weight in weights.items()]
    turn, waited = Turn(), 0

    for number, size in enumerate([*sizes, *[1] * 100]):
        known = [*parties, Party("bb")] if number >= newcomer else parties
        started = claim(turn, known, size)
        if number >= newcomer:
            if "bb" in started:
                waited += started.index("bb")
                break
            waited += size

    assert waited <= sum(weights.values())


@given(weights=WEIGHTS, size=st.integers(1, 60), rooms=st.lists(st.integers(0, 5), min_size=8))
def test_nobody_starts_more_than_there_is_room_for(
    weights: dict[str, int], size: int, rooms: list[int]
) -> None:
    limits = dict(zip(sorted(weights), rooms, strict=False))
    parties = [Party(key, weight, limits[key]) for key, weight in weights.items()]

    started = Counter(claim(Turn(), parties, size))

    assert all(started[key] <= room for key, room in limits.items())
    assert started.total() == min(size, sum(limits.values()))


def test_who_has_nothing_left_is_passed_over() -> None:
    ring = Ring(Turn(), finder([Party("a"), Party("b")]))
    assert [ring.next(), ring.next()] == ["a", "b"]

    ring.leave_out("a", unused=1)

    assert [ring.next(), ring.next()] == ["b", "b"]
    ring.leave_out("b")
    assert ring.next() is None


def test_each_party_is_looked_for_once_in_a_claim() -> None:
    asked = []
    find = finder([Party("a"), Party("b"), Party("c")])

    def counted(last: str | None) -> Party | None:
        asked.append(last)
        return find(last)

    ring = Ring(Turn(behind="a"), counted)
    for _ in range(300):
        ring.next()

    assert asked == ["a", "b", "c", None, "a"]


def test_a_claim_looks_at_some_parties_only_and_the_next_one_goes_on() -> None:
    parties = [Party(f"{number:04}", room=0) for number in range(2 * turns.MOST_KNOWN)]
    parties.append(Party("9999"))
    turn = Turn()

    first, second, third = (claim(turn, parties, 1) for _ in range(3))

    assert [first, second, third] == [[], [], ["9999"]]
