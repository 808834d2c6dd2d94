"""The format `files` as a stream: the same folder as a tar, or only its lines.

Memory is bounded, and so is the disk: of the outputs only those lie there that are next, and of
the lines all, for they come last.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from jobs.dataset.fetch import CHUNK_BYTES, OpenOutput
from jobs.dataset.files import EXPORTED, UNMADE, fetch_all, file_name
from jobs.dataset.folder import ABOUT_FILE, json_line
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.records import failed_record, metadata_record
from jobs.dataset.tally import Tally

#: A tar has an empty block behind each member that does not fill its last one, and two at its end.
BLOCK = tarfile.BLOCKSIZE

LinkTo = Callable[[Item, ItemOutput], str]


def tar_of(
    items: Iterable[Item], open_output: OpenOutput, about: Mapping[str, Any], made_at: datetime
) -> Iterator[bytes]:
    """The dataset as a tar. A StorageError cuts it off; then it has no end, as readers notice."""
    tally = Tally()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="darkroom-export-")))
        metadata = stack.enter_context((folder / "metadata.jsonl").open("w+b"))
        failed = stack.enter_context((folder / "failed.jsonl").open("w+b"))
        for item, fetches in stack.enter_context(closing(fetch_all(items, open_output, folder))):
            tally.add_job(item)
            if item.state in UNMADE:
                failed.write(json_line(failed_record(item)))
            for fetched in (future.result() for future in fetches):
                tally.add_file(item, fetched)
                if fetched.missing is None:
                    name = file_name(item, fetched.output)
                    metadata.write(json_line(metadata_record(item, fetched.output, name)))
                    with (folder / name).open("rb") as file:
                        yield from member(name, file, made_at)
                    (folder / name).unlink()
        yield from member("metadata.jsonl", metadata, made_at)
        yield from member("failed.jsonl", failed, made_at)
        report = json.dumps(tally.report(about, form="files"), indent=2, ensure_ascii=False)
        (folder / ABOUT_FILE).write_bytes(report.encode() + b"\n")
        with (folder / ABOUT_FILE).open("rb") as file:
            yield from member(ABOUT_FILE, file, made_at)
    yield bytes(2 * BLOCK)


def member(name: str, file: BinaryIO, made_at: datetime) -> Iterator[bytes]:
    """A whole file as a member of a tar."""
    header = tarfile.TarInfo(name)
    header.size = file.seek(0, 2)
    header.mtime = int(made_at.timestamp())
    file.seek(0)
    yield header.tobuf(tarfile.PAX_FORMAT)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
    yield bytes(-header.size % BLOCK)


def metadata_lines(items: Iterable[Item], link_to: LinkTo) -> Iterator[bytes]:
    """The lines of `metadata.jsonl`, each with the `url` of its file."""
    for item in items:
        for output in item.outputs if item.state in EXPORTED else ():
            record = metadata_record(item, output, file_name(item, output))
            yield json_line(record | {"url": link_to(item, output)})


def failed_lines(items: Iterable[Item]) -> Iterator[bytes]:
    """The lines of `failed.jsonl`."""
    for item in items:
        if item.state in UNMADE:
            yield json_line(failed_record(item))
