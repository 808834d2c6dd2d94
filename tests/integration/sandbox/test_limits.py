"""Rates, lock-outs, credits and the ledger."""

import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from threading import Thread

import requests

from tests.integration.sandbox.caller import CORE, DEADLINE_SECONDS, Caller, wait_for


def test_one_request_too_many_locks_the_key_out_and_no_other(start: Callable[..., Caller]) -> None:
    api = start("--rate", "3/10s")

    answers = [api.get("/v1/user/balance").status_code for _ in range(5)]

    assert answers == [200, 200, 200, 429, 429]
    assert api.with_key("another").get("/v1/user/balance").status_code == 200
    assert (api.ledger()["refusals"], api.ledger()["max_in_window"]) == (2, 5)


def test_a_lock_out_ends_by_itself(start: Callable[..., Caller]) -> None:
    api = start("--rate", "2/0.2s", "--freeze", "0.4")
    since = time.monotonic()

    wait_for(lambda: api.core().status_code == 429)
    wait_for(lambda: api.core().status_code == 200)

    assert time.monotonic() - since > 0.4


def test_a_request_counts_when_it_arrives_and_not_when_it_is_complete(
    start: Callable[..., Caller],
) -> None:
    api = start("--rate", "1/10s")
    gate, answers = [False], []

    def slow_body() -> Iterator[bytes]:
        yield b"{"
        wait_for(lambda: gate[0])
        yield b"}"

    def send_slowly() -> None:
        headers = {"authorization": f"Bearer {api.key}"}
        address = api.address + CORE
        answer = requests.post(address, data=slow_body(), headers=headers, timeout=DEADLINE_SECONDS)
        answers.append(answer.status_code)

    sender = Thread(target=send_slowly)
    sender.start()
    wait_for(lambda: api.get("/_sandbox/ledger").json()["in_flight"] == 1)
    second = api.get("/v1/user/balance")
    gate[0] = True
    sender.join()

    assert second.status_code == 429
    assert answers == [400]


def test_an_empty_balance_refuses_until_it_is_topped_up(start: Callable[..., Caller]) -> None:
    api = start("--credits", "4")

    answers = [api.core().status_code, api.core().status_code]
    topped_up = api.post_json("/_sandbox/credits", {"key": api.key, "credits": 2})

    assert answers == [200, 402]
    assert topped_up.json() == {"credits": 3.0}
    assert api.core().status_code == 200
    assert api.get("/v1/user/balance").json() == {"credits": 0.0}


def test_the_ledger_adds_up(api: Caller) -> None:
    for number in range(3):
        api.core(f"lake {number}", **{"stability-client-user-id": f"attempt-{number}"})
    api.start_video()

    ledger = api.ledger()

    assert ledger["charged_milli"] == 3 * 3_000 + 20_000
    assert ledger["balance_milli"] == 10_000_000 - ledger["charged_milli"]
    assert ledger["by_operation"] == {"generate/core": 3, "image-to-video": 1}
    assert ledger["by_status"] == {"200": 4}
    assert ledger["unanswered"] == 0
    first = ledger["charges"][0]
    assert first["client_ref"] == "attempt-0"
    assert first["prompt_sha256"] == sha256(b"lake 0").hexdigest()


def test_the_largest_number_in_flight_is_kept(start: Callable[..., Caller]) -> None:
    api = start("--latency", "0.3")
    callers = [Thread(target=api.core) for _ in range(5)]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert (api.ledger()["in_flight"], api.ledger()["max_in_flight"]) == (0, 5)
