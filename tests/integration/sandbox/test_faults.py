"""Faults on demand."""

import time

import pytest
import requests

from tests.integration.sandbox.caller import CORE, Caller, assert_is_picture, wait_for


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 401, 402])
def test_an_injected_status_costs_nothing(api: Caller, status: int) -> None:
    api.fault(**{f"status-{status}": 1})

    answer = api.core()

    assert answer.status_code == status
    assert ("html" in answer.headers["content-type"]) == (status in {502, 504})
    assert api.ledger()["charges"] == []


def test_an_injected_429_locks_the_key_out(api: Caller) -> None:
    api.fault(status_429="1x1")

    answers = [api.core().status_code, api.core().status_code]

    assert answers == [429, 429]


@pytest.mark.parametrize(("fault", "charges"), [("before", 0), ("after", 1)])
def test_a_reset_breaks_the_connection(api: Caller, fault: str, charges: int) -> None:
    api.fault(**{f"reset-{fault}-charge": 1})

    with pytest.raises(requests.ConnectionError) as error:
        api.core()

    assert "Connection reset by peer" in str(error.value)
    ledger = api.ledger()
    assert [charge["answered"] for charge in ledger["charges"]] == [False] * charges
    assert ledger["by_status"] == {"none": 1}


def test_a_hanging_request_is_charged_and_never_answered(api: Caller) -> None:
    api.fault(hang=1)

    with pytest.raises(requests.ReadTimeout):
        requests.post(
            api.address + CORE,
            files={"prompt": (None, "a lake")},
            headers={"authorization": f"Bearer {api.key}"},
            timeout=0.3,
        )

    wait_for(lambda: api.ledger()["in_flight"] == 0)
    assert [charge["answered"] for charge in api.ledger()["charges"]] == [False]


def test_a_truncated_answer_is_shorter_than_announced(api: Caller) -> None:
    api.fault(truncate=1)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.core()

    assert [charge["answered"] for charge in api.ledger()["charges"]] == [False]


def test_garbage_comes_with_the_right_type(api: Caller) -> None:
    api.fault(garbage=1)

    answer = api.core()

    assert answer.headers["content-type"] == "image/png"
    with pytest.raises(OSError):
        assert_is_picture(answer.content)


def test_a_wrong_type_is_a_page(api: Caller) -> None:
    api.fault(wrong_type=1)

    answer = api.core()

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_a_slow_answer_arrives_whole(api: Caller) -> None:
    api.fault(slow=1)
    since = time.monotonic()

    answer = api.core()

    assert time.monotonic() - since >= 0.3
    assert_is_picture(answer.content)


def test_polls_have_faults_of_their_own(api: Caller) -> None:
    result_id = api.start_video()
    path = f"/v2beta/results/{result_id}"

    api.fault(poll_500="1x1")
    failed, recovered = api.get(path), api.get(path)
    api.fault(poll_garbage=1)
    garbled = api.get(path)
    api.fault(poll_truncate=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get(path)
    api.fault(poll_reset=1)
    with pytest.raises(requests.ConnectionError):
        api.get(path)
    api.fault(poll_429=1)
    refused = api.get(path)

    assert (failed.status_code, recovered.status_code, refused.status_code) == (500, 200, 429)
    assert recovered.content[4:8] == b"ftyp"
    assert garbled.headers["content-type"] == "video/mp4"
    assert b"ftyp" not in garbled.content
    assert len(api.ledger()["charges"]) == 1


def test_the_faults_in_force_are_told(api: Caller) -> None:
    rules = {"hang@upscale/fast": 0.5, "status-500": "1.0x2"}

    api.post_json("/_sandbox/faults", rules)

    assert api.get("/_sandbox/faults").json() == rules
    assert api.post_json("/_sandbox/faults", {"no-such": 1}).status_code == 400
