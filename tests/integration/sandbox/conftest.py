"""Running sandboxes: one that a module shares, and others with options of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.sandbox.caller import Caller, running


@pytest.fixture
def start() -> Iterator[Callable[..., Caller]]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(*options))
