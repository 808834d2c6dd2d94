"""What all endpoints share: settings, books, faults, chance and the studio."""

from jobs.stability.sandbox.books import Books
from jobs.stability.sandbox.faults import Faults
from jobs.stability.sandbox.settings import SandboxSettings
from jobs.stability.sandbox.studio import Studio

#: Stability: seeds lie in 1..4294967294; 0 asks for a random one.
MAX_SEED = 4_294_967_294


class Stage:
    """Built once in each process."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.books = Books(settings)
        self.faults = Faults(settings.faults, settings.chance("faults"))
        self.studio = Studio()
        self._latencies = settings.chance("latencies")
        self._seeds = settings.chance("seeds")

    def close(self) -> None:
        """Stop drawing, and let go of the books."""
        self.studio.close()
        self.books.close()

    def draw_latency(self) -> float:
        """Seconds until a synchronous answer."""
        return self.settings.latency.draw(self._latencies)

    def draw_async_latency(self) -> float:
        """Seconds until an asynchronous result is ready."""
        return self.settings.async_latency.draw(self._latencies)

    def draw_seed(self) -> int:
        """A seed for a request that leaves it to the API."""
        return self._seeds.randint(1, MAX_SEED)
