"""`/v1/assets`: uploads."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from PIL import Image

from tests.integration.api.serving import Client

MIB = 1024 * 1024


def picture(shade: str = "teal", width: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 64), shade).save(buffer, "PNG")
    return buffer.getvalue()


def upload(client: Client, data: bytes) -> requests.Response:
    return client.post("/v1/assets", files={"file": ("whatever.txt", data, "text/plain")})


def test_an_image_is_kept_with_its_true_type_and_size(client: Client) -> None:
    answer = upload(client, picture())

    asset = answer.json()
    assert answer.status_code == 201, answer.text
    assert (asset["content_type"], asset["width"], asset["height"]) == ("image/png", 80, 64)
    assert client.get(f"/v1/assets/{asset['id']}").json() == asset


def test_the_same_bytes_are_one_asset_also_when_they_come_at_once(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: upload(client, picture()), range(8)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_each_project_has_its_own(client: Client, neighbour: Client) -> None:
    mine, theirs = upload(client, picture()).json(), upload(neighbour, picture()).json()

    assert mine["sha256"] == theirs["sha256"]
    assert mine["id"] != theirs["id"]
    assert neighbour.get(f"/v1/assets/{mine['id']}").status_code == 404


def test_an_asset_is_an_input_of_a_job(client: Client) -> None:
    asset = upload(client, picture()).json()

    body = {"operation": "upscale/fast", "inputs": {"image": asset["id"]}}
    job = client.post("/v1/jobs", json=body).json()

    assert job["inputs"] == {"image": f"asset:{asset['id']}"}


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "bad_image"), (b"GIF89a" + b"\0" * 99, "bad_image"), (picture()[:60], "bad_image")],
    ids=["empty", "another kind", "cut off"],
)
def test_what_is_no_whole_image_is_refused(client: Client, data: bytes, code: str) -> None:
    answer = upload(client, data)

    assert answer.status_code == 422
    assert answer.json()["faults"][0]["code"] == code


def test_more_than_ten_mebibytes_are_refused(client: Client) -> None:
    answer = upload(client, b"\x89PNG\r\n\x1a\n" + b"\0" * 11 * MIB)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_form_without_a_file_is_refused(client: Client) -> None:
    answer = client.post("/v1/assets", files={"other": b"x"})

    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == "file"
