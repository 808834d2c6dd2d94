"""Running sandboxes: one that a module shares, and others with options of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.integration.sandbox.caller import Caller, running


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    with running() as caller:
        yield caller


@pytest.fixture
def api(shared: Caller) -> Iterator[Caller]:
    """The module's sandbox with a fresh key, and without faults after the test."""
    yield shared.with_key(uuid4().hex)
    shared.fault()


@pytest.fixture
def start() -> Iterator[Callable[..., Caller]]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(*options))
