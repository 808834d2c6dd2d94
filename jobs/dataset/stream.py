"""Folders of files as a stream: the same folder as a tar, or only its lines.

Memory is bounded, and so is the disk: of the outputs only those lie there that are next, and of
the lines all, for they come last.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.dataset.card import CARD_FILE, card_of
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.files import FILES, Layout, file_name, imagefolder
from jobs.dataset.folder import ABOUT_FILE, json_line
from jobs.dataset.harvest import UNMADE, exported, harvest
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.records import failed_record, metadata_record
from jobs.dataset.tally import Tally
from jobs.dataset.tar import END, member

LinkTo = Callable[[Item, ItemOutput], str]


def tar_of(
    items: Iterable[Item],
    open_output: OpenOutput,
    about: Mapping[str, Any],
    made_at: datetime,
    layout: Layout = FILES,
) -> Iterator[bytes]:
    """The dataset as a tar. A StorageError cuts it off; then it has no end, as readers notice."""
    tally, seconds = Tally(), made_at.timestamp()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="darkroom-export-")))
        metadata = stack.enter_context((folder / "metadata.jsonl").open("w+b"))
        failed = stack.enter_context((folder / "failed.jsonl").open("w+b"))
        walk = harvest(
            layout.select(items, tally),
            open_output,
            lambda item, output: folder / file_name(item, output),
            tally=tally,
            failed=failed,
        )
        for item, fetched in stack.enter_context(closing(walk)):
            name = file_name(item, fetched.output)
            metadata.write(json_line(layout.record(item, fetched.output, name)))
            with (folder / name).open("rb") as file:
                yield from member(name, file, seconds)
            (folder / name).unlink()
        yield from member("metadata.jsonl", metadata, seconds)
        yield from member("failed.jsonl", failed, seconds)
        if layout.columns:
            card = card_of(layout.form, layout.columns, about, tally)
            yield from member(CARD_FILE, BytesIO(card.encode()), seconds)
        report = json.dumps(tally.report(about, layout.form), indent=2, ensure_ascii=False)
        yield from member(ABOUT_FILE, BytesIO(report.encode() + b"\n"), seconds)
    yield END


def imagefolder_stream(
    items: Iterable[Item], open_output: OpenOutput, about: Mapping[str, Any], made_at: datetime
) -> Iterator[bytes]:
    """The layout for a loader of pictures as a tar. The items are read several times."""
    yield from tar_of(items, open_output, about, made_at, imagefolder(items))


def metadata_lines(items: Iterable[Item], link_to: LinkTo) -> Iterator[bytes]:
    """The lines of `metadata.jsonl`, each with the `url` of its file."""
    for item in items:
        for output in exported(item):
            record = metadata_record(item, output, file_name(item, output))
            yield json_line(record | {"url": link_to(item, output)})


def failed_lines(items: Iterable[Item]) -> Iterator[bytes]:
    """The lines of `failed.jsonl`."""
    for item in items:
        if item.state in UNMADE:
            yield json_line(failed_record(item))
