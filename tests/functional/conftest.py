"""A user with an empty folder, and sandboxes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.functional.darkroom import Darkroom
from tests.integration.sandbox.caller import Caller, running
from tests.servers import temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, whose path is short enough for the socket of an embedded server."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def darkroom(folder: Path) -> Darkroom:
    """A user who has set nothing."""
    return Darkroom(folder, {})


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Caller]]:
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(*options))


@pytest.fixture
def api(sandbox: Callable[..., Caller]) -> Caller:
    """A sandbox that answers at once and limits nothing."""
    return sandbox()
