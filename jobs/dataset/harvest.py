"""The walk over a batch that every export makes: count each job, fetch each output ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from jobs.dataset.fetch import Fetched, OpenOutput, fetch
from jobs.dataset.folder import json_line
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.records import failed_record
from jobs.dataset.tally import Tally
from jobs.states import JobState

#: Enough to hide a bucket's latency; one connection each.
THREADS = 8

#: Items under way at once: it keeps the threads busy and memory small.
WINDOW = 4 * THREADS

#: Their outputs, if any, are in the dataset.
EXPORTED = frozenset({JobState.SUCCEEDED, JobState.FILTERED})

#: These can be run again.
UNMADE = frozenset({JobState.FAILED, JobState.CANCELED, JobState.SKIPPED, JobState.HELD})

#: Where an output is to lie, or None for one that is in the dataset already.
TargetOf = Callable[[Item, ItemOutput], Path | None]

Fetches = list[Future[Fetched]]


def harvest(
    items: Iterable[Item],
    open_output: OpenOutput,
    target_of: TargetOf,
    *,
    tally: Tally,
    failed: BinaryIO,
) -> Generator[tuple[Item, Fetched], None, None]:
    """Every output that is there, in the order of the rows; the rest goes to `failed` and tally.

    Close it, so that after a failure no thread writes on.
    """
    with closing(fetched_ahead(items, open_output, target_of)) as fetching:
        for item, fetches in fetching:
            tally.add_job(item)
            if item.state in UNMADE:
                failed.write(json_line(failed_record(item)))
            for fetched in (future.result() for future in fetches):
                tally.add_file(item, fetched)
                if fetched.missing is None:
                    yield item, fetched


def fetched_ahead(
    items: Iterable[Item], open_output: OpenOutput, target_of: TargetOf
) -> Generator[tuple[Item, Fetches], None, None]:
    """The items in their order, each while those after it are already being fetched."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="export") as pool:

        def begin(item: Item) -> Iterator[Future[Fetched]]:
            for output in exported(item):
                target = target_of(item, output)
                yield (
                    there(output)
                    if target is None
                    else pool.submit(fetch, output, open_output, target)
                )

        window: deque[tuple[Item, Fetches]] = deque()
        try:
            for item in items:
                window.append((item, list(begin(item))))
                if len(window) == WINDOW:
                    yield window.popleft()
            yield from window
        finally:
            # After a failure nobody waits for what was only planned.
            pool.shutdown(cancel_futures=True)


def exported(item: Item) -> tuple[ItemOutput, ...]:
    """What of a job belongs into a dataset."""
    return item.outputs if item.state in EXPORTED else ()


def there(output: ItemOutput) -> Future[Fetched]:
    """Nothing is to be done."""
    done: Future[Fetched] = Future()
    done.set_result(Fetched(output))
    return done
