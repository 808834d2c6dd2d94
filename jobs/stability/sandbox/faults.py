"""Faults on demand: which request is to go wrong, and how."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from jobs.errors import SettingsError

STATUSES = ("500", "502", "503", "504", "429", "401", "402")
SPOILS = ("hang", "truncate", "garbage", "wrong-type", "slow")

#: The names people write, and what then happens to a paid call.
CREATE_FAULTS: Mapping[str, str] = {
    name: name
    for name in (
        *(f"status-{status}" for status in STATUSES),
        "reset-before-charge",
        "reset-after-charge",
        *SPOILS,
    )
}

#: The names people write, and what then happens to a poll.
POLL_FAULTS: Mapping[str, str] = {
    **{f"poll-{status}": f"status-{status}" for status in STATUSES},
    "poll-reset": "reset",
    **{f"poll-{spoil}": spoil for spoil in SPOILS},
}

#: While a result is in progress there is no picture that could be garbage.
PENDING_POLL_FAULTS: Mapping[str, str] = {
    name: effect for name, effect in POLL_FAULTS.items() if effect != "garbage"
}

RULE_FORM = re.compile(r"([a-z0-9-]+)=([0-9.e-]+)(?:x(\d+))?(?:@(\S+))?")


@dataclass(frozen=True)
class FaultRule:
    """One fault: its name, how likely it is, and where."""

    name: str
    probability: float
    #: None means every operation.
    operation: str | None = None
    #: It happens so often at the most; None means no end.
    times: int | None = None

    def applies_to(self, operation: str) -> bool:
        """Whether requests of this operation may meet it."""
        return self.operation in {None, operation}


def read_rule(text: str) -> FaultRule:
    """Read `NAME=P`, `NAME=P@OPERATION` or `NAME=PxTIMES@OPERATION`."""
    match = RULE_FORM.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{text}: write a fault as NAME=P or NAME=P@OPERATION")
    name, probability, times, operation = match.groups()
    if name not in CREATE_FAULTS and name not in POLL_FAULTS:
        known = ", ".join([*CREATE_FAULTS, *POLL_FAULTS])
        raise SettingsError(f"{name}: no such fault; there are {known}")
    try:
        chance = float(probability)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise SettingsError(f"{text}: a probability lies between 0 and 1")
    return FaultRule(name, chance, operation, int(times) if times else None)


class Faults:
    """The rules in force, and the chance that decides."""

    def __init__(self, rules: Iterable[FaultRule], chance: Random) -> None:
        self._chance = chance
        self.replace(rules)

    def replace(self, rules: Iterable[FaultRule]) -> None:
        """Forget the rules in force and take these."""
        self.rules = tuple(rules)
        self._left = {rule: rule.times for rule in self.rules if rule.times is not None}

    def draw_for_create(self, operation: str) -> str | None:
        """What goes wrong with this paid call; None means nothing."""
        return self._draw(CREATE_FAULTS, operation)

    def draw_for_poll(self, operation: str, *, is_ready: bool) -> str | None:
        """What goes wrong with this poll; None means nothing."""
        return self._draw(POLL_FAULTS if is_ready else PENDING_POLL_FAULTS, operation)

    def _draw(self, effects: Mapping[str, str], operation: str) -> str | None:
        # One roll for all rules keeps each one's probability exact while their sum is below 1.
        roll = self._chance.random() if self.rules else 1.0
        for rule in self.rules:
            if rule.name not in effects or not rule.applies_to(operation):
                continue
            if self._left.get(rule) == 0:
                continue
            if roll < rule.probability:
                if rule in self._left:
                    self._left[rule] -= 1
                return effects[rule.name]
            roll -= rule.probability
        return None
