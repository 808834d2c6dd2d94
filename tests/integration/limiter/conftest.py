"""The limiter on a Redis whose clock a test turns, and on a real one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import fakeredis
import pytest
import redis
from fakeredis.commands_mixins import server_mixin

from jobs.limiter import permits
from jobs.limiter.permits import Limiter, connect
from jobs.settings import Rate

RATE = Rate(requests=20, window=timedelta(seconds=10))


@dataclass
class Hands:
    """The hands of the server's clock and of this process's, which go together until one is set."""

    seconds: float
    ahead: float = 0.0

    def set_server(self, seconds: float) -> None:
        """Put the server's clock forward, or back."""
        self.ahead += seconds

    def read_server(self) -> float:
        """What the server's clock shows."""
        return self.seconds + self.ahead

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def read(self) -> float:
        """What this process's clock shows."""
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """A clock a little before a midnight."""
    hands = Hands(datetime(2026, 12, 31, 23, 59, 55, tzinfo=UTC).timestamp())
    monkeypatch.setattr(server_mixin, "time", SimpleNamespace(time=hands.read_server))
    told = SimpleNamespace(monotonic=hands.read, sleep=hands.turn)
    monkeypatch.setattr(permits, "time", told)
    return hands


@pytest.fixture
def fake(clock: Hands) -> Iterator[redis.Redis]:
    """A Redis in this process, which goes by that clock."""
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client:
        yield client


@pytest.fixture
def limiter(fake: redis.Redis) -> Limiter:
    """A limiter whose credential has been quiet."""
    made = Limiter(fake, RATE)
    made.open("a", quiet=RATE.window)
    return made


@pytest.fixture
def real(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the real server, as the workers make it."""
    with connect(redis_url) as client:
        yield client
