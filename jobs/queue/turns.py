"""Turns by weight: a party of weight three starts three jobs where another starts one.

Deficit round robin: whoever has the turn keeps it until it has started as many as it weighs, also
over several claims, and then it is the next one's. Nobody is passed over, whatever waits elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

#: Parties looked for in one claim; the turn stays where it is, so the next claim finds the others.
MOST_KNOWN = 200


@dataclass(frozen=True)
class Party:
    """One of those who take turns."""

    key: str
    weight: int = 1
    #: How many it may start now; None for any number.
    room: int | None = None


@dataclass
class Turn:
    """Where the turn stands from one claim to the next."""

    #: Whose turn was over last.
    behind: str | None = None
    #: Whose turn it is, and how many it may still start in it.
    holder: str | None = None
    left: int = 0


class Ring:
    """Those who take turns in one claim: each is looked for once, however often its turn comes."""

    def __init__(self, turn: Turn, find: Callable[[str | None], Party | None]) -> None:
        self._turn = turn
        #: The next party behind a key, or the first; None at the end.
        self._find = find
        self._known: list[Party] = []
        self._is_whole = False
        self._has_wrapped = False
        self._at = -1
        self._out: set[str] = set()
        self._started: dict[str, int] = {}

    def next(self) -> str | None:
        """Whose turn it is to start one; None when nobody is left who could."""
        party = self._holder()
        passed = 0
        while party is None or not self._can_start(party):
            if self._is_whole and passed > len(self._known):
                return None
            party = self._pass_on()
            passed += 1
        self._turn.left -= 1
        if self._turn.left == 0:
            self._turn.behind = party.key
        self._started[party.key] = self._started.get(party.key, 0) + 1
        return party.key

    def leave_out(self, key: str, *, unused: int = 0) -> None:
        """Nothing more is to be had there now; `unused` of its turns started nothing."""
        self._out.add(key)
        self.give_back(key, unused)

    def give_back(self, key: str, unused: int) -> None:
        """So many of its turns started nothing."""
        self._started[key] = self._started.get(key, 0) - unused

    def _holder(self) -> Party | None:
        return self._known[self._at] if self._at >= 0 else None

    def _can_start(self, party: Party) -> bool:
        has_room = party.room is None or self._started.get(party.key, 0) < party.room
        return self._turn.left > 0 and has_room and party.key not in self._out

    def _pass_on(self) -> Party | None:
        """Give the turn to the next one; None while there is none."""
        turn = self._turn
        if (over := self._holder()) is not None:
            turn.behind = over.key
        party = self._step()
        if party is None:
            return None
        # A turn that the last claim left unfinished goes on.
        if over is not None or turn.holder != party.key or turn.left <= 0:
            turn.holder, turn.left = party.key, party.weight
        return party

    def _step(self) -> Party | None:
        if not self._is_whole:
            self._look_further()
        if not self._known:
            return None
        self._at = (self._at + 1) % len(self._known)
        return self._known[self._at]

    def _look_further(self) -> None:
        last = self._known[-1].key if self._known else self._turn.behind
        found = self._find(last)
        if found is None and not self._has_wrapped:
            self._has_wrapped = True
            found = self._find(None) if last is not None else None
        if found is None or any(found.key == party.key for party in self._known):
            self._is_whole = True
        else:
            self._known.append(found)
            self._is_whole = len(self._known) >= MOST_KNOWN
