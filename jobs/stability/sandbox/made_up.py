"""Operations that the API does not have, so that `request` can be tried."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jobs.catalog.loader import HERE, SHARED, read
from jobs.catalog.operation import Operation


@cache
def made_up() -> Mapping[str, Operation]:
    """Each by its name."""
    return read(Path(__file__).parent, shared=HERE / SHARED)
