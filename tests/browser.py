"""A real browser: Debian's Chromium, or another one that is installed, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.servers import unavailable

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: A loaded machine may take long; a test that waits so long has failed.
PATIENCE_SECONDS = 40
#: What the browser says of an answer that the page expects, such as one to a wrong key.
EXPECTED = "Failed to load resource"


@dataclass(frozen=True)
class Visit:
    """A tab, everything it asked for, and everything that went wrong in it."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def visit_of(page: "Page") -> Visit:
    """A visit whose notes are taken from now on."""
    visit = Visit(page)

    def note_request(request: "Request") -> None:
        if not request.url.startswith("blob:"):
            visit.requests.append(request.url)

    def note_message(message: "ConsoleMessage") -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED):
            visit.faults.append(message.text)

    page.on("request", note_request)
    page.on("console", note_message)
    page.on("pageerror", lambda error: visit.faults.append(str(error)))
    return visit


@contextmanager
def browsing() -> Iterator[Visit]:
    """An empty tab of a browser of the test's own; without a browser the test is skipped."""
    if find_spec("playwright") is None:
        unavailable("playwright")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        unavailable("a browser (as root: scripts/install_browser)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    with sync_playwright() as driver:
        # Tests may run as root, and only pages of ours are opened.
        browser = driver.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            timeout=1000 * PATIENCE_SECONDS,
        )
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        yield visit_of(page)
        browser.close()
