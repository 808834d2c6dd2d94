"""`GET /v1/jobs`: page by page, and by what was asked for."""

from typing import Any

import pytest

from jobs.db import Database
from jobs.search import Question, find_jobs
from tests.factories import make_job
from tests.integration.api.serving import Client

CORE = {"operation": "generate/core", "params": {"prompt": "a lighthouse"}}


def submit(client: Client, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json=CORE | changes)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_pages_follow_one_another_while_jobs_come_in(client: Client) -> None:
    ids = [submit(client)["id"] for _ in range(5)]

    first = client.get("/v1/jobs?limit=2").json()
    submit(client)
    second = client.get(f"/v1/jobs?limit=2&cursor={first['next_cursor']}").json()
    third = client.get(f"/v1/jobs?limit=2&cursor={second['next_cursor']}").json()

    seen = [job["id"] for page in (first, second, third) for job in page["items"]]
    assert seen == ids[::-1]
    assert third["next_cursor"] is None


def test_jobs_are_found_by_state_operation_prompt_and_metadata(client: Client) -> None:
    hare = submit(client, params={"prompt": "a Brown hare"})["id"]
    tagged = submit(client, metadata={"order": "X-100%"})["id"]
    asked = {"path": "/v2beta/next", "credits": 1, "fields": {"prompt": "a Mill"}}
    request = submit(client, operation="request", params=asked)["id"]
    client.post(f"/v1/jobs/{tagged}/cancel")

    def found(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/v1/jobs?{query}").json()["items"]]

    assert found("state=queued") == [request, hare]
    assert found("q=brown") == [hare]
    assert found("q=mill") == [request]
    assert found("q=x-100%25") == [tagged]
    assert found("q=x-1__%25") == []
    assert found("operation=generate/core&state=canceled") == [tagged]
    assert found("operation=generate/ultra") == []


def test_metadata_is_found_by_the_letters_of_any_language(client: Client) -> None:
    wanted = submit(client, metadata={"customer": "Müller", "city": "京都"})["id"]

    for part in ("müller", "京"):
        items = client.get("/v1/jobs", params={"q": part}).json()["items"]
        assert [job["id"] for job in items] == [wanted]


def test_sqlite_finds_large_and_small_letters_of_any_language(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.transaction() as db:
        wanted = make_job(db, project_id="acme", params={"prompt": "Éclair"})
        found = find_jobs(db, "acme", Question(text="éCLAIR"), cursor=None, limit=1)
    database.close()

    assert [job.id for job in found.jobs] == [wanted]


def test_a_search_reaches_the_end_page_by_page(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.search.SCAN", 2)
    wanted = submit(client, params={"prompt": "a hare"})["id"]
    for _ in range(5):
        submit(client)

    pages, found, cursor = 0, [], ""
    while cursor is not None and pages < 10:
        page = client.get(f"/v1/jobs?q=hare{cursor and '&cursor='}{cursor}").json()
        pages, cursor = pages + 1, page["next_cursor"]
        found += [job["id"] for job in page["items"]]

    assert found == [wanted]
    assert 2 < pages < 10
