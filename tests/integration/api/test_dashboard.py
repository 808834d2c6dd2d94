"""The dashboard's files: who gets them, how, and that they keep to themselves."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from api.routes.dashboard import FILES
from jobs.states import JobState
from tests.integration.api.serving import Client

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "api" / "dashboard"
NAMES = sorted(name for name in FILES if name != "index.html")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: files are not in it."""
    return sqlite_url


def test_the_page_asks_for_no_key(stranger: Client) -> None:
    answer = stranger.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Darkroom</title>" in answer.text


def test_the_page_may_run_and_call_only_what_is_ours(stranger: Client) -> None:
    policy = stranger.get("/").headers["content-security-policy"]

    told = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert told["default-src"] == "'none'"
    assert told["script-src"] == told["style-src"] == told["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert told["frame-ancestors"] == "'none'"


def test_each_file_has_its_type_and_is_not_sniffed(stranger: Client) -> None:
    answers = {name: stranger.get(f"/dashboard/{name}") for name in NAMES}

    for name, answer in answers.items():
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["content-type"] == FILES[name].content_type
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_browser_that_has_a_file_is_not_sent_it_again(stranger: Client) -> None:
    first = stranger.get("/dashboard/main.js")

    tag = first.headers["etag"]
    again = stranger.get("/dashboard/main.js", headers={"if-none-match": f'"other", W/{tag}'})
    changed = stranger.get("/dashboard/main.js", headers={"if-none-match": '"other"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert changed.status_code == 200


def test_nothing_else_can_be_asked_for(stranger: Client) -> None:
    names = ["none.js", "index.html", "__init__.py", "..%2f..%2fpyproject.toml", "%2e%2e/app.py"]

    answers = [stranger.get(path) for path in ("/index.html", *(f"/dashboard/{n}" for n in names))]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (404, "not_found")
    }


def test_the_page_takes_no_other_method(stranger: Client) -> None:
    answer = stranger.post("/")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r'"/dashboard/([^"]+)"', (FOLDER / "index.html").read_text()))
    for script in FOLDER.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))

    assert named == set(NAMES)


@pytest.mark.parametrize("path", [FOLDER / name for name in FILES], ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere_or_read_as_html(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)
    assert not re.search(r"\bstyle=|\bon[a-z]+=\"|<script>|<style>", text)


def test_the_page_knows_every_state_and_every_verb_of_a_history() -> None:
    stands, verbs = (FOLDER / "words.js").read_text().split("export const VERBS")

    assert set(re.findall(r'"([a-z]+)"', stands)) >= set(JobState)
    assert set(re.findall(r'^  ([a-z_]+): "', verbs, re.M)) >= verbs_of_the_queue()


def verbs_of_the_queue() -> set[str]:
    """Every verb that the queue writes as one, and those in the picture of the states."""
    picture = (REPOSITORY / "docs" / "state_machine.md").read_text()
    drawn = re.findall(r"--> \w+ : (.+)", picture)
    found = {verb for line in drawn for verb in line.removesuffix(", no budget").split(", ")}
    for module in (REPOSITORY / "jobs" / "queue").glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "verb":
                texts = (inner for inner in ast.walk(node) if isinstance(inner, ast.Constant))
                found |= {text.value for text in texts if isinstance(text.value, str)}
    return found


def test_a_wheel_has_every_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(REPOSITORY / "api", source / "api")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"

    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {f"api/dashboard/{name}" for name in FILES} <= set(archive.namelist())
