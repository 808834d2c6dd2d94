"""The memory of a worker with many large answers in flight."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.figure import Figure
from bench.measures.engine import succeeded
from bench.options import Options
from bench.site import open_site, until
from bench.usage import resident_mib
from jobs.queue.intake import NewJob
from tests.faults.process import Process, python
from tests.servers import accepts_http, free_port

IN_FLIGHT = 200
#: So long that all of them are in flight at once.
ANSWER_SECONDS = 2.0
#: Of a picture of noise with 5 MB.
SIDE = 1291
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 3600


def measure(options: Options) -> Iterator[Figure]:
    """One worker; the largest memory of the whole run, and of its last third beside its first."""
    jobs = options.pick(10_000, 2000)
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    command = python("-m", "bench.upstream", str(port), str(ANSWER_SECONDS), str(SIDE))
    upstream = Process("upstream", command, folder=options.folder, environment={})
    with ExitStack() as stack:
        upstream.start()
        stack.callback(upstream.kill)
        until(lambda: accepts_http(f"{api}/"), "the upstream answers")
        limits = {"DARKROOM_WORKER_THREADS": str(IN_FLIGHT), "DARKROOM_RATE": "1000000/1s"}
        site = stack.enter_context(open_site(options, STABILITY_API_HOST=api, **limits))
        site.hire(workers=1, beats=1)
        pid = site.crew.workers[0].pid
        params = [{"prompt": f"hare {number}", "output_format": "png"} for number in range(jobs)]
        site.submit([NewJob(operation="generate/core", params=one) for one in params])
        memory: list[float] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while succeeded(site) < jobs and time.monotonic() < deadline:
            memory.append(resident_mib(pid))
            empty(site.settings.home / "outputs")
            time.sleep(LOOK_SECONDS)
    third = max(1, len(memory) // 3)
    growth = max(memory[-third:]) / max(memory[:third])
    yield Figure(
        what=f"memory at the most, {jobs:,} jobs", value=max(memory), unit="MiB", target=300
    )
    yield Figure(what="its last third to its first", value=growth, unit="x", target=1.1)


def empty(folder: Path) -> None:
    """Forget the pictures that are stored: all of them would fill the disk."""
    for path in folder.glob("**/*.png"):
        if path.stat().st_size:
            os.truncate(path, 0)
