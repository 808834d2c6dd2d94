"""The format `files`: a file for each output in folders of 10,000 rows, and `metadata.jsonl`."""

from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from jobs.dataset.fetch import Fetched, OpenOutput, fetch
from jobs.dataset.folder import ABOUT_FILE, claim, json_line, replacing, told, write_json
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.records import failed_record, metadata_record
from jobs.dataset.tally import Summary, Tally
from jobs.states import JobState
from jobs.storage.keys import extension_of

#: Hugging Face advises at most 10,000 entries in a folder.
ROWS_PER_FOLDER = 10_000

#: Enough to hide a bucket's latency; one connection each.
THREADS = 8

#: Items under way at once: it keeps the threads busy and memory small.
WINDOW = 4 * THREADS

#: Their outputs, if any, are in the dataset.
EXPORTED = frozenset({JobState.SUCCEEDED, JobState.FILTERED})

#: These can be run again.
UNMADE = frozenset({JobState.FAILED, JobState.CANCELED, JobState.SKIPPED, JobState.HELD})

Fetches = list[Future[Fetched]]


def export_files(
    items: Iterable[Item], open_output: OpenOutput, out: Path, about: Mapping[str, Any]
) -> Summary:
    """Write the dataset, or bring it up to date; give the items in the order of their rows.

    `about["batch_id"]` marks the folder as this batch's own. A `StorageError` ends the export;
    what it fetched stays, and the next one goes on from there.
    """
    claim(out, about)
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(told(out))
        metadata = stack.enter_context(replacing(out / "metadata.jsonl"))
        failed = stack.enter_context(replacing(out / "failed.jsonl"))
        # Closed at once after a failure, so that no thread writes on.
        fetching = stack.enter_context(closing(fetch_all(items, open_output, out)))
        for item, fetches in fetching:
            tally.add_job(item)
            if item.state in UNMADE:
                failed.write(json_line(failed_record(item)))
            for future in fetches:
                fetched = future.result()
                tally.add_file(item, fetched)
                if fetched.missing is None:
                    name = file_name(item, fetched.output)
                    metadata.write(json_line(metadata_record(item, fetched.output, name)))
    with told(out):
        write_json(out / ABOUT_FILE, tally.report(about, form="files"))
    return tally.summary()


def file_name(item: Item, output: ItemOutput) -> str:
    """Where the output lies in the dataset: `00000/000012-0.png`."""
    folder = item.row // ROWS_PER_FOLDER
    return f"{folder:05}/{item.row:06}-{output.index}.{extension_of(output.content_type)}"


def fetch_all(
    items: Iterable[Item], open_output: OpenOutput, out: Path
) -> Generator[tuple[Item, Fetches], None, None]:
    """The items in their order, each while those after it are already being fetched."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="export") as pool:
        window: deque[tuple[Item, Fetches]] = deque()
        try:
            for item in items:
                outputs = item.outputs if item.state in EXPORTED else ()
                targets = ((output, out / file_name(item, output)) for output in outputs)
                window.append(
                    (item, [pool.submit(fetch, o, open_output, target) for o, target in targets])
                )
                if len(window) == WINDOW:
                    yield window.popleft()
            yield from window
        finally:
            # After a failure nobody waits for what was only planned.
            pool.shutdown(cancel_futures=True)
