"""Folders of files: one for each output in folders of 10,000 rows, and `metadata.jsonl`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.dataset.card import card_of, write_card
from jobs.dataset.columns import Columns, is_picture, learn_columns
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.folder import ABOUT_FILE, claim, json_line, replacing, told, write_json
from jobs.dataset.form import Form
from jobs.dataset.harvest import exported, harvest
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.records import metadata_record
from jobs.dataset.tally import Summary, Tally
from jobs.dataset.witness import first_come, late_witnesses
from jobs.errors import BatchChanged
from jobs.storage.keys import extension_of

#: Hugging Face advises at most 10,000 entries in a folder.
ROWS_PER_FOLDER = 10_000

Record = Callable[[Item, ItemOutput, str], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a folder of files holds: with columns it is for a loader of pictures, else anything."""

    form: Form
    columns: Columns | None = None
    #: These rows come before all others.
    first: frozenset[int] = frozenset()

    @property
    def record(self) -> Record:
        """Makes a line of `metadata.jsonl`."""
        return self.columns.record if self.columns else metadata_record

    def select(self, items: Iterable[Item], tally: Tally) -> Iterable[Item]:
        """The items with those outputs that belong there; the others are counted."""
        if self.columns is None:
            return items
        return pictures(first_come(self.first, items), tally)


FILES = Layout(form=Form.FILES)


def imagefolder(items: Iterable[Item]) -> Layout:
    """The layout for `load_dataset("imagefolder", data_dir=...)`.

    The loader opens every file that `metadata.jsonl` names as a picture, and takes the types of
    the columns from the first lines.
    """
    columns = learn_columns(items)
    first = late_witnesses(items, columns)
    return Layout(form=Form.IMAGEFOLDER, columns=columns, first=first)


def pictures(items: Iterable[Item], tally: Tally) -> Iterator[Item]:
    """The items without their videos and models."""
    for item in items:
        for output in exported(item):
            if not is_picture(output):
                tally.leave_out(output)
        yield replace(item, outputs=tuple(filter(is_picture, item.outputs)))


def export_files(
    items: Iterable[Item],
    open_output: OpenOutput,
    out: Path,
    about: Mapping[str, Any],
    layout: Layout = FILES,
) -> Summary:
    """Write the dataset, or bring it up to date; give the items in the order of their rows.

    `about["batch_id"]` marks the folder as this batch's own. A `StorageError` ends the export;
    what it fetched stays, and the next one goes on from there.
    """
    claim(out, about, layout.form)
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(told(out))
        metadata = stack.enter_context(replacing(out / "metadata.jsonl"))
        failed = stack.enter_context(replacing(out / "failed.jsonl"))
        walk = harvest(
            layout.select(items, tally),
            open_output,
            lambda item, output: out / file_name(item, output),
            tally=tally,
            failed=failed,
        )
        for item, fetched in stack.enter_context(closing(walk)):
            name = file_name(item, fetched.output)
            try:
                metadata.write(json_line(layout.record(item, fetched.output, name)))
            except BatchChanged:
                # A loader refuses pictures without a line.
                (out / name).unlink()
                tally.defer(fetched)
    with told(out):
        if layout.columns:
            write_card(out, card_of(layout.form, layout.columns, about, tally))
        write_json(out / ABOUT_FILE, tally.report(about, layout.form))
    return tally.summary()


def file_name(item: Item, output: ItemOutput) -> str:
    """Where the output lies in the dataset: `00000/000012-0.png`."""
    folder = item.row // ROWS_PER_FOLDER
    return f"{folder:05}/{item.row:06}-{output.index}.{extension_of(output.content_type)}"
