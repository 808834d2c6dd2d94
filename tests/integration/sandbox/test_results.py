"""Asynchronous results and their polls."""

from collections.abc import Callable

from tests.integration.sandbox.caller import VIDEO, Caller, wait_for


def test_a_result_is_in_progress_until_it_is_ready(start: Callable[..., Caller]) -> None:
    api = start("--async-latency", "0.5")
    result_id = api.start_video()

    early = api.get(f"{VIDEO}/result/{result_id}", accept="video/*")

    assert early.status_code == 202
    assert early.json() == {"id": result_id, "status": "in-progress"}
    wait_for(lambda: api.get(f"{VIDEO}/result/{result_id}", accept="video/*").status_code == 200)


def test_each_address_gives_what_the_documents_say_and_refuses_all_else(api: Caller) -> None:
    result_id = api.start_video()

    def status(address: str, accept: str) -> int:
        return api.get(f"{address}/{result_id}", accept=accept).status_code

    asked = ("*/*", "video/*", "application/json")
    assert [status("/v2beta/results", accept) for accept in asked] == [200, 400, 200]
    assert [status(f"{VIDEO}/result", accept) for accept in asked] == [400, 200, 200]


def test_any_result_is_served_by_the_common_address(api: Caller) -> None:
    answer = api.get(f"/v2beta/results/{api.start_video()}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")


def test_a_result_of_another_key_is_not_found(api: Caller) -> None:
    result_id = api.start_video()

    answer = api.with_key("a stranger's").get(f"/v2beta/results/{result_id}")

    assert (answer.status_code, answer.json()["name"]) == (404, "generation_not_found")


def test_a_result_is_gone_after_its_time(start: Callable[..., Caller]) -> None:
    api = start("--result-hours", "0.0002")

    result_id = api.start_video()

    wait_for(lambda: api.get(f"/v2beta/results/{result_id}").status_code == 404)


def test_polls_that_come_too_soon_are_answered_and_counted(api: Caller) -> None:
    result_id = api.start_video()

    answers = [api.get(f"/v2beta/results/{result_id}").status_code for _ in range(3)]

    ledger = api.ledger()
    assert answers == [200, 200, 200]
    assert ledger["poll_gaps_too_short"] == 2
    assert len(ledger["polls"][result_id]["times"]) == 3
    assert 0 < ledger["polls"][result_id]["min_gap"] < 10
