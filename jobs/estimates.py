"""How long work will take: arithmetic on the rate."""

from collections.abc import Mapping

from jobs.catalog.loader import operation as find_operation
from jobs.forecast import ASYNC_REQUESTS, ASYNC_TAIL, SYNC_TAIL
from jobs.settings import Settings


def expected_seconds(settings: Settings, by_operation: Mapping[str, int]) -> float:
    """How long so many jobs take when nothing else uses the credentials."""
    requests = 0
    tail = 0.0
    for name, count in by_operation.items():
        is_async = find_operation(name).mode == "async"
        requests += count * (ASYNC_REQUESTS if is_async else 1)
        tail = max(tail, ASYNC_TAIL if is_async else SYNC_TAIL)
    keys = max(1, len(settings.api_keys))
    return requests / (settings.darkroom_rate.per_second * keys) + tail
