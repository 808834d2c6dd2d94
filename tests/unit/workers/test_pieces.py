"""What is taken out of an answer in JSON whose form nobody foretold."""

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog.loader import operation
from jobs.media import BadMedia
from jobs.spool import Spooled
from workers.pieces import Piece, pieces

REQUEST = operation("request")
PNG = b"\x89PNG\r\n\x1a\n and so on"
MP4 = b"\0\0\0\x18ftypmp42 and so on"


def text(data: bytes) -> str:
    return b64encode(data).decode()


def spooled(folder: Path, body: bytes, content_type: str = "application/json") -> Spooled:
    path = folder / "attempt.body"
    path.write_bytes(body)
    facts = {"content_type": content_type, "seed": "5", "finish_reason": None}
    sha256 = hashlib.sha256(body).hexdigest()
    return Spooled(attempt_id="attempt", path=path, size=len(body), sha256=sha256, facts=facts)


def found_in(folder: Path, told: Any, content_type: str = "application/json") -> list[Piece]:
    with pieces(REQUEST, spooled(folder, json.dumps(told).encode(), content_type)) as found:
        for piece in found:
            content = piece.path.read_bytes()
            assert piece.size == len(content)
            assert piece.sha256 == hashlib.sha256(content).hexdigest()
        return found


@pytest.mark.parametrize(
    ("told", "content_type"),
    [
        pytest.param({"image": text(PNG)}, "image/png", id="v2beta's image"),
        pytest.param({"video": text(MP4), "id": "a"}, "video/mp4", id="v2beta's video"),
        pytest.param({"result": text(PNG)}, "image/png", id="a result"),
    ],
)
def test_media_in_json_is_the_output(tmp_path: Path, told: Any, content_type: str) -> None:
    (piece,) = found_in(tmp_path, {**told, "seed": 7, "finish_reason": "CONTENT_FILTERED"})

    assert piece.content_type == content_type
    assert (piece.seed, piece.finish_reason) == (7, "CONTENT_FILTERED")


def test_media_that_only_the_answer_names_is_believed(tmp_path: Path) -> None:
    (piece,) = found_in(tmp_path, {"audio": text(b"noise")}, "application/json; type=audio/flac")

    assert piece.content_type == "audio/flac"


@pytest.mark.parametrize(
    ("brand", "announced", "content_type"),
    [
        ("avif", "", "image/avif"),
        ("heic", "", "image/heic"),
        ("M4A ", "", "audio/mp4"),
        ("isom", "", "video/mp4"),
        ("mif1", "image/avif", "image/avif"),
        ("mif1", '"IMAGE/AVIF"; q=1', "image/avif"),
        ("heic", "no type", "image/heic"),
    ],
)
def test_what_is_made_like_an_mp4_is_known_by_its_announcement_and_its_brand(
    tmp_path: Path, brand: str, announced: str, content_type: str
) -> None:
    told = {"result": text(b"\0\0\0\x18ftyp" + brand.encode() + b"\0\0\0\0")}

    (piece,) = found_in(tmp_path, told, f"application/json; type={announced}")

    assert piece.content_type == content_type


def test_each_artifact_is_an_output(tmp_path: Path) -> None:
    artifacts = [{"base64": text(PNG), "finishReason": "SUCCESS", "seed": n} for n in (1, 2)]

    found = found_in(tmp_path, {"artifacts": artifacts})

    assert [(piece.content_type, piece.seed) for piece in found] == [
        ("image/png", 1),
        ("image/png", 2),
    ]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"caption": "a hare"}, id="no media"),
        pytest.param({}, id="nothing"),
        pytest.param([1], id="a list"),
        pytest.param("text", id="a text"),
        pytest.param({"image": "https://elsewhere.example/a.png"}, id="an address"),
        pytest.param({"result": "abcd"}, id="text that only looks like base64"),
        pytest.param({"image": 7}, id="a number"),
        pytest.param({"artifacts": []}, id="no artifact"),
        pytest.param({"artifacts": "none"}, id="artifacts that are no list"),
        pytest.param({"artifacts": [{"base64": text(PNG)}, {"url": "a"}]}, id="half understood"),
        pytest.param({"artifacts": [{"base64": text(PNG)}], "cost": 2}, id="more than artifacts"),
        pytest.param({"image": text(PNG), "caption": "a hare"}, id="a picture and words"),
        pytest.param({"image": text(PNG), "audio": text(b"ID3")}, id="a picture and a sound"),
        pytest.param({"image": text(PNG), "mask": text(PNG)}, id="two pictures"),
        pytest.param({"image": "", "id": "a"}, id="an empty picture"),
        pytest.param({"video": text(b"\0\0\0\x18ftypcrx raw")}, id="a brand that nobody knows"),
    ],
)
def test_json_that_is_not_understood_is_itself_the_output(tmp_path: Path, told: Any) -> None:
    (piece,) = found_in(tmp_path, told)

    assert (piece.content_type, piece.seed) == ("application/json", 5)
    assert json.loads((tmp_path / "attempt.body").read_bytes()) == told


@pytest.mark.parametrize(
    "told",
    [
        {"image": None, "finish_reason": "CONTENT_FILTERED", "seed": 7},
        {"artifacts": [{"base64": None, "finishReason": "CONTENT_FILTERED", "seed": 7}]},
    ],
)
def test_json_without_media_still_says_why_there_is_none(tmp_path: Path, told: Any) -> None:
    (piece,) = found_in(tmp_path, told)

    assert (piece.content_type, piece.seed) == ("application/json", 7)
    assert piece.finish_reason == "CONTENT_FILTERED"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="too deep"),
        pytest.param(b'{"credits": 1' + b"0" * 5000 + b"}", id="a number that is too long"),
    ],
)
def test_json_that_is_more_than_python_reads_is_kept_as_it_came(
    tmp_path: Path, body: bytes
) -> None:
    with pieces(REQUEST, spooled(tmp_path, body)) as (piece,):
        assert (piece.content_type, piece.size) == ("application/json", len(body))


def test_what_calls_itself_json_and_is_none_is_damaged(tmp_path: Path) -> None:
    with (
        pytest.raises(BadMedia, match="no readable JSON"),
        pieces(REQUEST, spooled(tmp_path, b'{"image": "')),
    ):
        pytest.fail("it was taken apart")


def test_what_is_no_json_is_not_looked_into(tmp_path: Path) -> None:
    body = json.dumps({"image": text(PNG)}).encode()

    with pieces(REQUEST, spooled(tmp_path, body, "audio/mpeg")) as (piece,):
        assert (piece.content_type, piece.size) == ("audio/mpeg", len(body))
