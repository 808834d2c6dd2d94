"""The dashboard in a browser, as a person has it who has never read a word about it."""

import re
from collections.abc import Iterator

import pytest

from tests.browser import Visit, browsing
from tests.functional.darkroom import Darkroom
from tests.functional.shop import Shop, open_shop
from tests.integration.sandbox.caller import Caller

#: Runs, if anybody ever reads it as HTML.
HOSTILE = '<img src="/dashboard/icon.svg" onload="document.title = \'owned\'">'


@pytest.fixture
def visit() -> Iterator[Visit]:
    """An empty tab."""
    with browsing() as visit:
        yield visit


def test_a_batch_is_watched_from_its_first_job_to_its_pictures(
    visit: Visit, darkroom: Darkroom, api: Caller, redis_url: str
) -> None:
    from playwright.sync_api import expect

    page = visit.page
    with open_shop(darkroom.asking(api).having(REDIS_URL=redis_url)) as shop:
        page.goto(shop.address)
        enter(visit, "dk_wrong")
        expect(page.get_by_role("alert")).to_have_text("the key is unknown, expired or revoked")
        enter(visit, shop.key)
        expect(page.get_by_text("Nothing here yet")).to_be_visible()
        expect(page.get_by_text("live", exact=True)).to_be_visible()

        # Whatever comes, comes without a reload.
        order(shop, [f"a hare {HOSTILE}", "two hares", "three hares", "nsfw-refused"])
        card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="hares"))
        expect(card).to_contain_text("finished")
        expect(card.get_by_role("img")).to_have_attribute("aria-label", "3 succeeded, 1 failed")
        expect(page.locator(".gallery img[src]")).to_have_count(3)

        card.get_by_role("link", name="hares").click()
        expect(page.get_by_text("1: content_moderation")).to_be_visible()
        expect(page.get_by_text("flagged by our content moderation system")).to_be_visible()
        page.get_by_role("button", name="Retry what failed").click()
        page.get_by_role("dialog").get_by_role("button", name="Retry what failed").click()
        expect(page.get_by_text("1 job opened again.")).to_be_visible()

        page.get_by_role("link", name="a hare <img").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
        expect(page.get_by_text("The result has arrived. 3 credits charged.")).to_be_visible()
        expect(page.get_by_text(re.compile(r"^image/png, \d+"))).to_be_visible()
        expect(page.locator("figure img")).not_to_have_js_property("naturalWidth", 0)

        page.get_by_role("button", name="Forget key").click()
        expect(page.get_by_label("API key")).to_be_focused()
        assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert visit.faults == []
    assert all(url.startswith(shop.address) for url in visit.requests)
    assert not any("dk_" in url for url in visit.requests)


def enter(visit: Visit, key: str) -> None:
    """Fill in the form."""
    visit.page.get_by_label("API key").fill(key)
    visit.page.get_by_role("button", name="Open").click()


def order(shop: Shop, prompts: list[str]) -> None:
    """Submit a batch."""
    jobs = [{"params": {"prompt": prompt}} for prompt in prompts]
    body = {"name": "hares", "operation": "generate/core", "jobs": jobs}
    assert shop.call("POST", "/v1/batches", json=body).status_code == 202
