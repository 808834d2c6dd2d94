"""The simulation's slots are those of the script, and its table keeps the promises."""

import runpy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis

from jobs.limiter.permits import HOLD, Limiter, Permit
from jobs.settings import Settings
from tests.integration.limiter.conftest import Hands

PROGRAM = Path(__file__).parents[3] / "scripts" / "simulate_limiter.py"
#: The script counts in whole microseconds.
NEAR = 1e-3


@pytest.fixture(scope="module")
def simulation() -> dict[str, Any]:
    return runpy.run_path(str(PROGRAM))


def test_the_simulation_gives_the_slots_of_the_script(
    simulation: dict[str, Any], fake: redis.Redis, clock: Hands
) -> None:
    chance, began = Random(5), clock.seconds
    rate = Settings.model_fields["darkroom_rate"].default
    limiter, slots = Limiter(fake, rate), simulation["Slots"](HOLD.total_seconds())
    limiter.open("a", quiet=rate.window)
    sent: list[tuple[int, Permit]] = []

    for token in range(1, 700):
        permit = limiter.reserve(["a"], longest=rate.window * 10)
        assert isinstance(permit, Permit)
        assert slots.reserve(token, clock.seconds - began) == pytest.approx(
            permit.at - began, abs=NEAR
        )
        limiter.wait(permit)
        sent.append((token, permit))
        if chance.random() < 0.5:
            settled, permit = sent.pop(chance.randrange(len(sent)))
            limiter.settle(permit, arrived_by=clock.seconds)
            slots.settle(settled, clock.seconds - began)


@pytest.mark.parametrize("traffic", ["polls", "both", "paid calls"])
def test_on_a_good_network_nearly_all_of_the_rate_is_used_and_nothing_refused(
    simulation: dict[str, Any], traffic: str
) -> None:
    way = simulation["NETWORKS"]["lan, 1 ms"](simulation["TRAFFIC"][traffic])

    times = list(simulation["arrivals"](way, hours=0.2, seed=3))

    assert simulation["refusals"](times) == 0
    assert simulation["utilisation"](times) >= 0.98
