"""Darkroom from another program: submit jobs, wait for them, and fetch what they made.

    from api.client import Darkroom

    darkroom = Darkroom("http://localhost:8000", "dk_...")
    job = darkroom.submit("generate/core", {"prompt": "a hare"})
    job.wait().save("hare.png")

It needs nothing of Darkroom but this file, and of others only `requests`.
"""

import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import requests

#: How often a request is repeated that does no harm twice, and the longest pause between.
TRIES = 5
LONGEST_PAUSE = 30.0
#: The longest that the API lets one request wait for a job's end, in seconds.
LONGEST_WAIT = 60.0
CONNECT_SECONDS, SPARE_SECONDS = 5.0, 30.0
#: The longest without a byte of an export: the API looks at all rows of a batch before the first.
EXPORT_SECONDS = 600.0
ROWS_AT_ONCE = 5000
PIECE_BYTES = 1024 * 1024
FINAL = frozenset({"succeeded", "filtered", "failed", "canceled", "skipped"})


class DarkroomError(Exception):
    """What the API said: `code` stays the same, `faults` say what to mend and where."""

    def __init__(self, answer: requests.Response) -> None:
        problem = problem_of(answer)
        self.status = answer.status_code
        self.code = str(problem.get("code", "unknown"))
        self.faults: list[dict[str, str]] = list(problem.get("faults", []))
        self.request_id = problem.get("request_id")
        where = "; ".join(f"{f['field']}: {f['message']}" for f in self.faults)
        super().__init__(where or problem.get("detail") or problem.get("title") or self.code)


class Unfinished(Exception):
    """The job had not ended in time; it goes on, and can be waited for again."""


class Darkroom:
    """One project's door; safe to share between threads. The key and the address may come from
    `DARKROOM_KEY` and `DARKROOM_URL`."""

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        self.url = (url or os.environ.get("DARKROOM_URL") or "http://127.0.0.1:8000").rstrip("/")
        self._session = requests.Session()
        self._session.headers["authorization"] = f"Bearer {key or os.environ['DARKROOM_KEY']}"

    def submit(
        self,
        operation: str,
        params: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, str | Path] | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> "JobHandle":
        """Let a job in. A `Path` among the inputs is uploaded; `fields` are the body's other ones.

        It is let in once, however often the network makes us ask; to be sure of that over a crash
        of your own too, choose the idempotency key yourself.
        """
        body = {"operation": operation, "params": dict(params or {}), **fields}
        body["inputs"] = {
            name: self.upload(value) if isinstance(value, Path) else value
            for name, value in (inputs or {}).items()
        }
        headers = {"idempotency-key": idempotency_key or str(uuid.uuid4())}
        return JobHandle(self, self.call("POST", "/v1/jobs", json=body, headers=headers))

    def job(self, job_id: str) -> "JobHandle":
        """A job by its id."""
        return JobHandle(self, self.call("GET", f"/v1/jobs/{job_id}"))

    def jobs(self, **filters: str) -> Iterator["JobHandle"]:
        """All jobs that fit, the newest first: `state`, `batch`, `operation`, `q`."""
        return (JobHandle(self, item) for item in self.pages("/v1/jobs", **filters))

    def batch(self, rows: Iterable[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
        """Let many jobs in, as they come, and start them; returns the batch.

        `fields` are the batch's: name, operation, defaults, budget, priority. With a name the same
        call again goes on where the last one was cut off, if `rows` are the same. Rows with faults
        are left out, and listed under `errors` by the call that sent them.
        """
        body = {"name": str(uuid.uuid4()), **fields}
        batch = self.call("POST", "/v1/batches", json=body, is_safe=True)
        path = f"/v1/batches/{batch['id']}"
        # One that is started takes no more rows: what it lacks has faults.
        errors = [] if batch["started_at"] else self._fill(path, iter(rows))
        return {**self.call("POST", f"{path}/start", is_safe=True), "errors": errors}

    def upload(self, path: str | Path) -> str:
        """Upload an input; returns the asset's id. The same file again is the same asset."""
        data = Path(path).read_bytes()
        files = {"file": (Path(path).name, data)}
        return str(self.call("POST", "/v1/assets", files=files, is_safe=True)["id"])

    def export(self, batch_id: str, path: str | Path, *, form: str = "files") -> Path:
        """Write what a batch has made by now: a tar of `files`, an `imagefolder` or a `webdataset`,
        a `parquet` table, `jsonl` with links, or the jobs that `failed`.

        One that was cut off raises, and `path` is not written.
        """
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        address, query = f"/v1/batches/{batch_id}/export", {"format": form}
        with (
            self.send(
                "GET", address, params=query, stream=True, read_seconds=EXPORT_SECONDS
            ) as answer,
            part.open("wb") as file,
        ):
            for chunk in answer.iter_content(PIECE_BYTES):
                file.write(chunk)
        return part.replace(target)

    def operations(self) -> list[dict[str, Any]]:
        """Everything that can be asked for, with its parameters as JSON Schema."""
        return list(self.call("GET", "/v1/operations")["items"])

    def estimate(self, jobs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """What jobs would cost, and how long they would take if nothing else ran."""
        return self.call("POST", "/v1/estimate", json={"jobs": list(jobs)}, is_safe=True)

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """The items of a list, page by page."""
        while True:
            page = self.call("GET", path, params=query)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One request of the API, by its path; raises DarkroomError."""
        answer: dict[str, Any] = self.send(method, path, **options).json()
        return answer

    def send(
        self,
        method: str,
        path: str,
        *,
        is_safe: bool | None = None,
        read_seconds: float = LONGEST_WAIT + SPARE_SECONDS,
        **options: Any,
    ) -> requests.Response:
        """A request that is repeated on a lost connection, 429 or 503 if it does no harm twice."""
        if is_safe is None:
            is_safe = method == "GET" or "idempotency-key" in options.get("headers", {})
        timeout = (CONNECT_SECONDS, read_seconds)
        for trial in range(1, TRIES + 1):
            pause = min(LONGEST_PAUSE, 0.5 * 2**trial)
            try:
                answer = self._session.request(method, self.url + path, timeout=timeout, **options)
            except (requests.ConnectionError, requests.Timeout):
                if not is_safe or trial == TRIES:
                    raise
            else:
                if answer.ok:
                    return answer
                # 429 says that nothing was done; of 503 nobody knows.
                may_repeat = answer.status_code == 429 or (answer.status_code == 503 and is_safe)
                pause = float(answer.headers.get("retry-after", pause))
                if not may_repeat or trial == TRIES or pause > LONGEST_PAUSE:
                    raise DarkroomError(answer)
            time.sleep(pause)
        raise AssertionError("the last trial returns or raises")

    def _fill(self, path: str, rows: Iterator[Mapping[str, Any]]) -> list[Any]:
        # The first request adds nothing: it tells how many rows are there.
        sent = self._add(path, [], 0)["next_row"]
        errors: list[Any] = []
        for _ in islice(rows, sent):
            pass
        while piece := list(islice(rows, ROWS_AT_ONCE)):
            errors += self._add(path, piece, sent)["errors"]
            sent += len(piece)
        return errors

    def _add(self, path: str, rows: list[Mapping[str, Any]], first: int) -> dict[str, Any]:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        # A row that is there already stays as it is.
        return self.call(
            "POST",
            f"{path}/jobs?from_row={first}",
            data=lines.encode(),
            headers={"content-type": "application/x-ndjson"},
            is_safe=True,
        )


class JobHandle:
    """A job; it can be pickled, and waited for elsewhere."""

    def __init__(self, darkroom: Darkroom, shown: dict[str, Any]) -> None:
        self._darkroom = darkroom
        #: The job as the API showed it last.
        self.shown = shown

    def __repr__(self) -> str:
        return f"<job {self.id}: {self.state}>"

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.shown["id"])

    @property
    def state(self) -> str:
        """The state at the last look."""
        return str(self.shown["state"])

    def wait(self, timeout: float | None = None) -> "JobHandle":
        """Return once the job has ended, however it did; raises Unfinished after so many seconds.

        A job that is held waits for a person: look at `shown["error"]`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.state not in FINAL:
            left = LONGEST_WAIT if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise Unfinished(f"job {self.id} is {self.state}")
            query = {"wait": f"{min(left, LONGEST_WAIT):.3f}"}
            self.shown = self._darkroom.call("GET", f"/v1/jobs/{self.id}", params=query)
        return self

    def content(self, index: int = 0) -> bytes:
        """One of its outputs; raises DarkroomError for a job that made none."""
        return self._darkroom.send("GET", f"/v1/jobs/{self.id}/outputs/{index}").content

    def save(self, path: str | Path, index: int = 0) -> Path:
        """Write one of its outputs to a file."""
        target = Path(path)
        target.write_bytes(self.content(index))
        return target

    def cancel(self) -> "JobHandle":
        """Stop it, if it was not sent yet."""
        self.shown = self._darkroom.call("POST", f"/v1/jobs/{self.id}/cancel")
        return self


def problem_of(answer: requests.Response) -> Mapping[str, Any]:
    """The problem's fields; of something else than the API only its text."""
    try:
        told = answer.json()
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"detail": answer.text[:500]}
