"""A running sandbox, and the calls that one key makes to it."""

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from PIL import Image

REPOSITORY = Path(__file__).parents[3]
CORE = "/v2beta/stable-image/generate/core"
VIDEO = "/v2beta/image-to-video"

#: Nothing waits, and nothing is limited, unless a test asks for it.
QUICK = ("--latency", "0", "--async-latency", "0", "--rate", "none", "--slow", "0.3")
DEADLINE_SECONDS = 20


@dataclass(frozen=True)
class Caller:
    """One key's view of a running sandbox."""

    address: str
    process: subprocess.Popen[str]
    key: str

    def with_key(self, key: str) -> "Caller":
        return replace(self, key=key)

    def get(self, path: str, **headers: str) -> requests.Response:
        return self._call("GET", path, headers=headers)

    def post(
        self, path: str, params: Mapping[str, Any], files: Any = None, **headers: str
    ) -> requests.Response:
        fields = {name: (None, value) for name, value in params.items()}
        fields.update({name: ("input", content) for name, content in (files or {}).items()})
        return self._call("POST", path, files=fields, headers=headers)

    def post_json(self, path: str, body: Any, **headers: str) -> requests.Response:
        return self._call("POST", path, json=body, headers=headers)

    def core(self, prompt: str = "a quiet lake", **headers: str) -> requests.Response:
        return self.post(CORE, {"prompt": prompt}, **headers)

    def start_video(self) -> str:
        answer = self.post(VIDEO, {}, {"image": picture(768, 768)})
        assert answer.status_code == 200
        result_id: str = answer.json()["id"]
        return result_id

    def fault(self, **rules: float | str) -> None:
        named = {name.replace("_", "-"): value for name, value in rules.items()}
        assert self.post_json("/_sandbox/faults", named).status_code == 200

    def ledger(self) -> dict[str, Any]:
        digest = sha256(self.key.encode()).hexdigest()
        keys = self.get("/_sandbox/ledger").json()["keys"]
        return next(account for account in keys if account["key_sha256"] == digest)

    def _call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {self.key}", **arguments.pop("headers", {})}
        arguments = {"timeout": DEADLINE_SECONDS, **arguments, "headers": headers}
        return requests.request(method, self.address + path, **arguments)


@contextmanager
def running(*options: str) -> Iterator[Caller]:
    """A sandbox of the test's own."""
    command = [sys.executable, "-m", "jobs.stability.sandbox", *QUICK, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().removeprefix("sandbox ready ").strip()
        yield Caller(address, process, uuid4().hex)
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)
        process.stdout.close()


@cache
def picture(width: int, height: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGBA", (width, height), "teal").save(target, "PNG")
    return target.getvalue()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def assert_is_picture(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
