"""Two hundred requests in flight fit into one worker process of modest size."""

from collections.abc import Callable

from tests.functional.darkroom import DEADLINE_SECONDS, Begun, Darkroom
from tests.functional.manifests import prompts
from tests.functional.processes import peak_memory_kib
from tests.integration.sandbox.caller import Caller
from tests.servers import wait_until

REQUESTS = 200
MOST_KIB = 300 * 1024


def test_one_worker_holds_two_hundred_requests_within_300_mib(
    darkroom: Darkroom, sandbox: Callable[..., Caller]
) -> None:
    api = sandbox("--latency", "8")
    user = darkroom.asking(api).having(DARKROOM_RATE="1000/1s")
    manifest = prompts(darkroom.folder / "many.csv", *(f"view {n}" for n in range(REQUESTS)))
    command = ("run", manifest, "--out", "out", "--yes", "--set", "output_format=jpeg")

    with user.running(*command) as begun:
        worker = begun.worker()
        memory: list[int] = []
        wait_until(lambda: has_ended(begun, worker, memory), "the batch is done", DEADLINE_SECONDS)
        ended = begun.end()

    assert ended.code == 0, ended
    # The worker's own question for the balance may be among them.
    assert REQUESTS <= api.ledger()["max_in_flight"] <= REQUESTS + 1
    assert 0 < max(memory) < MOST_KIB


def has_ended(begun: Begun, worker: int, memory: list[int]) -> bool:
    """Whether the command has ended; until then the worker's memory is noted."""
    memory.append(peak_memory_kib(worker))
    return begun.child.poll() is not None
