"""The dashboard in a browser, on an interface behind which nobody works."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import Visit, browsing
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client

CORE = {"operation": "generate/core", "params": {"prompt": "a hare"}}
#: Counts looks at something of which a stream tells whatever is said by `happen()`.
WATCH = """async () => {
  const { watch } = await import("/dashboard/live.js");
  const happened = new TextEncoder().encode('id: 1\\r\\nevent: x\\r\\ndata: {"id": 1}\\r\\n\\r\\n');
  const start = (stream) => { window.happen = () => stream.enqueue(happened); };
  window.fetch = async () => new Response(new ReadableStream({ start }));
  window.looks = 0;
  const look = async () => { window.looks += 1; };
  const [ignore, { signal }] = [() => {}, new AbortController()];
  window.hurry = watch(look, { tell: ignore, seen: ignore, signal });
}"""
#: What a browser does when another tab comes before this one, and when this one is back.
TURN = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: the page never sees it."""
    return sqlite_url


@pytest.fixture
def admin(stranger: Client, make_key: KeyMaker) -> Client:
    """A caller who may do everything in the project `acme`."""
    return stranger.with_key(make_key("acme", "admin"))


@pytest.fixture
def visit() -> Iterator[Visit]:
    """An empty tab."""
    with browsing() as visit:
        yield visit


def enter(visit: Visit, client: Client, place: str = "") -> None:
    """Open the page with the caller's key."""
    visit.page.goto(f"{client.address}/{place}")
    visit.page.get_by_label("API key").fill(client.headers["authorization"].split()[1])
    visit.page.get_by_role("button", name="Open").click()


def create_batch(client: Client, **body: Any) -> str:
    answer = client.post("/v1/batches", json={"name": "hares", "jobs": [CORE, CORE], **body})
    return str(answer.json()["id"])


def test_what_is_wrong_is_said_and_mended(visit: Visit, admin: Client) -> None:
    from playwright.sync_api import expect

    page, batch_id = visit.page, create_batch(admin, budget=3)
    admin.post("/v1/pause")
    enter(visit, admin)
    wrong = page.get_by_label("What is wrong now")

    expect(wrong).to_contain_text("No worker is running, so 1 job cannot go on.")
    expect(wrong).to_contain_text("darkroom worker --beat")
    wrong.get_by_role("button", name="Resume the project").click()
    expect(wrong).not_to_contain_text("This project is paused")
    wrong.get_by_role("link", name="See").click()
    expect(page).to_have_url(re.compile(f"#/batches/{batch_id}$"))
    wrong.get_by_role("button", name="Raise the budget").click()
    page.get_by_role("dialog").get_by_role("spinbutton").fill("6")
    page.get_by_role("button", name="Set the budget").click()
    estimate_and_budget = page.get_by_role("definition").filter(has_text="6 credits")
    expect(estimate_and_budget).to_have_count(2)

    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("hares paused")
    cancel = page.get_by_role("button", name="Cancel the batch")
    cancel.press("Enter")
    page.get_by_role("button", name="No, leave it").press("Enter")
    expect(cancel).to_have_attribute("aria-busy", "false")
    expect(cancel).to_be_focused()
    cancel.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the batch").press("Enter")
    expect(page.get_by_text("2 jobs canceled.")).to_be_visible()
    assert admin.get(f"/v1/batches/{batch_id}").json()["counts"] == {"canceled": 2}
    assert visit.faults == []


def test_what_is_held_is_counted_and_matters_no_more_once_canceled(
    visit: Visit, client: Client
) -> None:
    from playwright.sync_api import expect

    page, batch_id = visit.page, create_batch(client, jobs=[CORE] * 53, budget=3)
    enter(visit, client)
    wrong = page.get_by_label("What is wrong now")

    # More than are looked at for their reasons.
    expect(wrong).to_contain_text("52 jobs held:")
    expect(wrong).not_to_contain_text("At least")
    wrong.get_by_role("link", name="See").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^hares"))
    expect(wrong).to_contain_text("52 jobs held:")

    client.post(f"/v1/batches/{batch_id}/cancel")
    page.goto(f"{client.address}/#/jobs?state=canceled")
    expect(page.get_by_role("row")).to_have_count(51)
    expect(page.get_by_text("has no room for this job")).to_have_count(0)
    assert visit.faults == []


@pytest.mark.parametrize("kind", ["jobs", "batches"])
def test_an_address_of_what_cannot_be_there_is_told_so(
    visit: Visit, client: Client, kind: str
) -> None:
    from playwright.sync_api import expect

    enter(visit, client, f"#/{kind}/nope")

    one = {"jobs": "job", "batches": "batch"}[kind]
    expect(visit.page.get_by_text(f"There is no such {one}.")).to_be_visible()
    assert visit.faults == []


def test_a_key_that_may_only_look_is_told_so(
    visit: Visit, stranger: Client, make_key: KeyMaker, client: Client
) -> None:
    from playwright.sync_api import expect

    batch_id = create_batch(client)
    enter(visit, stranger.with_key(make_key("acme", "read")), f"#/batches/{batch_id}")
    visit.page.get_by_role("button", name="Pause").click()

    expect(visit.page.get_by_text("this asks for a key with the scope submit")).to_be_visible()


def test_it_stays_true_without_events_and_asks_for_nothing_out_of_sight(
    visit: Visit, client: Client
) -> None:
    from playwright.sync_api import expect

    page = visit.page
    page.clock.install(time=0)
    page.route("**/v1/events*", lambda route: route.abort())
    enter(visit, client)
    expect(page.get_by_text("reconnecting…")).to_be_visible()

    # Polling: without a single event a new job is there after a while.
    create_batch(client)
    page.clock.fast_forward(8000)
    expect(page.get_by_role("heading", name="hares")).to_be_visible()

    # The stream is back.
    page.unroute("**/v1/events*")
    page.clock.fast_forward(60_000)
    expect(page.get_by_text("live", exact=True)).to_be_visible()

    # Out of sight nothing is asked for, however long; back in sight it is true at once.
    page.evaluate(TURN, True)
    client.post("/v1/jobs", json=CORE)
    before = len(visit.requests)
    page.clock.fast_forward(600_000)
    page.evaluate("fetch('/healthz')")
    assert visit.requests[before:] == [f"{client.address}/healthz"]
    page.evaluate(TURN, False)
    expect(page.get_by_role("main").get_by_text("3 queued").first).to_be_visible()
    assert visit.faults == []


def test_a_burst_of_events_is_a_look_now_and_then(visit: Visit, client: Client) -> None:
    page = visit.page
    page.goto(client.address)
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.evaluate(WATCH)

    # Ten seconds with an event in each fifth of one.
    for _ in range(50):
        page.evaluate("happen()")
        page.clock.run_for(200)
    assert 2 <= page.evaluate("looks") <= 6

    # Who presses a button does not wait for the next time.
    before = page.evaluate("looks")
    page.evaluate("hurry()")
    assert page.evaluate("looks") == before + 1
