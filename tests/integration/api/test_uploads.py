"""`/v1/assets` with a file that goes past us, or drips, or explodes."""

import hashlib
import io
import socket
import struct
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from api import access
from jobs.settings import Settings
from tests.integration.api.conftest import KeyMaker
from tests.integration.api.serving import Client, served

MIB = 1024 * 1024


def picture(kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 64), "teal").save(buffer, kind, **options)
    return buffer.getvalue()


def announced(data: bytes, filename: str = "a.png") -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    return {"filename": filename, "bytes": len(data), "sha256": digest}


def send(upload: dict[str, object], data: bytes) -> requests.Response:
    """As any client would: whatever the answer says."""
    url, headers = str(upload["url"]), dict(upload["headers"])  # type: ignore[call-overload]
    if upload["method"] == "PUT":
        return requests.put(url, data=data, headers=headers, timeout=30)
    form = {"data": upload["fields"], "files": {"file": data}}
    return requests.post(url, headers=headers, timeout=30, **form)  # type: ignore[arg-type]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: what is tested here is the same on both."""
    return sqlite_url


@pytest.fixture
def on_s3(settings: Settings, s3: dict[str, str], make_key: KeyMaker) -> Iterator[Client]:
    """A caller of an installation whose bucket is S3."""
    place = {"s3_bucket": s3["S3_BUCKET"], "s3_endpoint_url": s3["S3_ENDPOINT_URL"]}
    with served(settings.model_copy(update=place)) as client:
        yield client.with_key(make_key())


@pytest.fixture(params=["client", "on_s3"])
def either(request: pytest.FixtureRequest) -> Client:
    """A caller on each kind of bucket."""
    found: Client = request.getfixturevalue(request.param)
    return found


def test_an_announced_file_becomes_an_asset_under_the_same_id(either: Client) -> None:
    wanted = either.post("/v1/assets", json=announced(picture()))
    asset = wanted.json()
    assert (wanted.status_code, asset["width"]) == (201, None), wanted.text

    assert send(asset["upload"], picture()).ok
    done = either.post(f"/v1/assets/{asset['id']}/complete").json()

    assert (done["id"], done["width"], done["height"]) == (asset["id"], 80, 64)
    assert either.get(f"/v1/assets/{asset['id']}").json() == done


def test_an_announced_file_is_an_input_before_it_was_looked_at(either: Client) -> None:
    asset = either.post("/v1/assets", json=announced(picture())).json()
    send(asset["upload"], picture())

    body = {"operation": "upscale/fast", "inputs": {"image": asset["id"]}}
    job = either.post("/v1/jobs", json=body)

    assert job.status_code == 202, job.text


def test_bytes_that_are_here_already_need_not_be_sent(client: Client) -> None:
    first = client.post("/v1/assets", files={"file": picture()}).json()

    again = client.post("/v1/assets", json=announced(picture())).json()

    assert (again["id"], again["upload"]) == (first["id"], None)


def test_the_id_stays_good_when_the_same_bytes_came_another_way(client: Client) -> None:
    asset = client.post("/v1/assets", json=announced(picture())).json()
    first = client.post("/v1/assets", files={"file": picture()}).json()

    send(asset["upload"], picture())

    assert client.get(f"/v1/assets/{asset['id']}").json()["id"] == first["id"]


def test_a_file_that_is_not_there_yet_is_a_conflict(either: Client) -> None:
    asset = either.post("/v1/assets", json=announced(picture())).json()

    answer = either.post(f"/v1/assets/{asset['id']}/complete")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_uploaded")


def test_another_file_of_the_same_size_is_refused_and_the_right_one_taken(either: Client) -> None:
    other = bytearray(picture())
    other[-1] ^= 1
    asset = either.post("/v1/assets", json=announced(picture())).json()

    answer = send(asset["upload"], bytes(other))
    if answer.ok:
        answer = either.post(f"/v1/assets/{asset['id']}/complete")

    assert answer.json()["faults"][0]["code"] == "wrong_checksum"
    assert send(asset["upload"], picture()).ok
    assert either.post(f"/v1/assets/{asset['id']}/complete").status_code == 200


def test_a_file_of_another_type_than_announced_is_refused(client: Client) -> None:
    asset = client.post("/v1/assets", json=announced(picture("JPEG"), "a.png")).json()

    answer = send(asset["upload"], picture("JPEG"))

    assert (answer.status_code, answer.json()["faults"][0]["code"]) == (422, "wrong_type")


def test_more_than_was_announced_is_not_taken(client: Client) -> None:
    asset = client.post("/v1/assets", json=announced(picture())).json()

    answer = send(asset["upload"], picture() + b"0")

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_the_form_binds_key_size_and_type(on_s3: Client) -> None:
    asset = on_s3.post("/v1/assets", json=announced(picture())).json()

    fields = asset["upload"]["fields"]

    assert fields["Content-Type"] == "image/png"
    assert fields["key"].endswith(f"/uploads/{asset['id']}")


def test_a_ticket_is_good_once_and_for_one_upload(client: Client) -> None:
    asset = client.post("/v1/assets", json=announced(picture())).json()
    upload = asset["upload"]
    wrong = {**upload, "url": upload["url"].replace("ticket=", "ticket=x")}

    assert send(wrong, picture()).status_code == 404
    assert send(upload, picture()).status_code == 200
    assert send(upload, picture()).status_code == 404


def test_another_project_sees_no_upload(client: Client, neighbour: Client) -> None:
    asset = client.post("/v1/assets", json=announced(picture())).json()

    assert neighbour.get(f"/v1/assets/{asset['id']}").status_code == 404
    assert neighbour.post(f"/v1/assets/{asset['id']}/complete").status_code == 404
    body = {"operation": "upscale/fast", "inputs": {"image": asset["id"]}}
    assert neighbour.post("/v1/jobs", json=body).status_code == 422


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"filename": "a.gif"}, "filename"),
        ({"filename": ""}, "filename"),
        ({"bytes": 10 * MIB + 1}, "bytes"),
        ({"bytes": 0}, "bytes"),
        ({"sha256": "f"}, "sha256"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_announcement_is_refused(
    change: dict[str, object], field: str, client: Client
) -> None:
    answer = client.post("/v1/assets", json=announced(picture()) | change)

    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == field


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *extra: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", head),
        *extra,
        chunk(b"IDAT", zlib.compress(b"\0")),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def text_bomb() -> bytes:
    return chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(300 * MIB), 9))


def profile_bomb() -> bytes:
    return chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(300 * MIB), 9))


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in range(20)]
    return picture_of(frames, kind)


def picture_of(frames: list[Image.Image], kind: str) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


BOMBS = {
    "50,000 by 50,000 pixels": lambda: png(50_000, 50_000),
    "a text of 300 MB": lambda: png(64, 64, text_bomb()),
    "a profile of 300 MB": lambda: png(64, 64, profile_bomb()),
    "an animated PNG": lambda: animation("PNG"),
    "an animated WebP": lambda: animation("WEBP"),
    "a chunk that says 2 GB": lambda: png(64, 64)[:33] + b"\x7f\xff\xff\xffIDAT" + bytes(64),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str, client: Client) -> None:
    answer = client.post("/v1/assets", files={"file": BOMBS[name]()})

    assert answer.status_code == 422
    assert answer.json()["faults"][0]["code"] in {"bad_image", "too_large"}


def test_a_body_of_a_hundred_megabytes_is_refused_before_it_came(client: Client) -> None:
    with connected(client) as caller:
        caller.sendall(head_of(client, 100 * MIB))

        assert b" 413 " in caller.recv(4096).partition(b"\r\n")[0]


def test_a_body_that_drips_is_cut_off_when_the_time_is_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "BODY_SECONDS", 0.3)

    with connected(client) as caller:
        caller.sendall(head_of(client, MIB, "application/json"))
        caller.settimeout(0.05)
        answer = b""
        for _ in range(400):
            caller.sendall(b"-")
            try:
                answer = caller.recv(4096)
                break
            except TimeoutError:
                continue

    assert b" 408 " in answer.partition(b"\r\n")[0]


def connected(client: Client) -> socket.socket:
    place = urlsplit(client.address)
    assert place.hostname
    return socket.create_connection((place.hostname, place.port or 80), timeout=30)


def head_of(client: Client, size: int, kind: str = "multipart/form-data; boundary=b") -> bytes:
    lines = ["POST /v1/assets HTTP/1.1", "host: darkroom", f"content-length: {size}"]
    lines += [f"{name}: {value}" for name, value in client.headers.items()]
    lines += [f"content-type: {kind}", "", ""]
    return "\r\n".join(lines).encode()
