"""Datasets in shards: files of many samples, each whole or not there, and never touched again.

An export that is run again adds shards for what is new. A shard that is damaged, or holds what
does not belong there any more, is removed, and its samples are new.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from jobs.dataset.card import card_of, write_card
from jobs.dataset.columns import Columns, learn_columns
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.folder import (
    ABOUT_FILE,
    claim,
    replacing,
    sole_export,
    told,
    workplace,
    write_json,
)
from jobs.dataset.form import Form
from jobs.dataset.harvest import harvest
from jobs.dataset.held import Damaged, Held, new_index
from jobs.dataset.item import Item, ItemOutput
from jobs.dataset.sample import Sample, file_name, sample_of
from jobs.dataset.tally import Summary, Tally

#: Small enough to be copied and tried again, large enough to be read in one go.
SHARD_BYTES = 500_000_000

#: Of tiny files; readers shuffle within a shard.
SHARD_SAMPLES = 10_000


class Shard(Protocol):
    """A shard that is being written."""

    def add(self, sample: Sample) -> None:
        """Write a sample."""
        ...

    def room_for(self, sample: Sample, limit: int) -> bool:
        """Whether the shard would stay below so many bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardForm:
    """How one format writes and reads its shards."""

    form: Form
    #: With the shard's number as `{:05}`.
    file_name: str
    #: A shard that is there once the block ends, and not before.
    writing: Callable[[Path, Columns], AbstractContextManager[Shard]]
    #: Keys and sha256 of a shard, every byte of which was checked; raises Damaged.
    contents: Callable[[Path], Iterator[tuple[str, str]]]
    #: Whether a shard has these columns.
    fits: Callable[[Path, Columns], bool]

    def path(self, out: Path, number: int) -> Path:
        """Where a shard lies."""
        return out / self.file_name.format(number)

    def paths(self, out: Path) -> list[Path]:
        """The shards that are there."""
        return sorted(out.glob(self.file_name.format(0).replace("00000", "[0-9]*")))

    def remove(self, path: Path) -> None:
        """Delete a shard, and its checksum if it has one."""
        path.unlink()
        checksum_of(path).unlink(missing_ok=True)


def checksum_of(shard: Path) -> Path:
    """The file beside a shard that `sha256sum -c` takes."""
    return shard.with_name(f"{shard.name}.sha256")


def export_shards(
    items: Iterable[Item],
    open_output: OpenOutput,
    out: Path,
    about: Mapping[str, Any],
    *,
    kind: ShardForm,
    shard_bytes: int = SHARD_BYTES,
) -> Summary:
    """Write the dataset, or add to it what is new.

    The items are read twice, in the order of their rows. A `StorageError` ends the export; shards
    that are whole stay, and the next one goes on from there.
    """
    claim(out, about, kind.form)
    tally = Tally()
    with ExitStack() as stack:
        stack.enter_context(told(out))
        stack.enter_context(sole_export(out))
        # Whoever had the folder until now may have claimed it too.
        claim(out, about, kind.form)
        place = stack.enter_context(workplace(out))
        held = stack.enter_context(new_index())
        columns = keep_sound(items, out, kind, held)
        failed = stack.enter_context(replacing(out / "failed.jsonl"))
        add = stack.enter_context(rolling(out, kind, columns, shard_bytes))

        def target_of(item: Item, output: ItemOutput) -> Path | None:
            return None if held.has(item, output) else place / file_name(item, output)

        walk = harvest(items, open_output, target_of, tally=tally, failed=failed)
        for item, fetched in stack.enter_context(closing(walk)):
            if fetched.is_new:
                add(sample_of(item, fetched.output, columns, place))
    with told(out):
        write_card(out, card_of(kind.form, columns, about, tally))
        write_json(out / ABOUT_FILE, tally.report(about, kind.form))
    return tally.summary()


def keep_sound(items: Iterable[Item], out: Path, kind: ShardForm, held: Held) -> Columns:
    """Learn the columns and what is held; shards that cannot stay are removed."""
    for path in kind.paths(out):
        try:
            held.add(path.name, kind.contents(path))
        except Damaged:
            kind.remove(path)
    columns = learn_columns(held.wanted(items))
    misfits = {path.name for path in kind.paths(out) if not kind.fits(path, columns)}
    for name in misfits.union(held.stale()):
        kind.remove(out / name)
        held.drop(name)
    return columns


@contextmanager
def rolling(
    out: Path, kind: ShardForm, columns: Columns, shard_bytes: int
) -> Iterator[Callable[[Sample], None]]:
    """A way to add samples to one new shard after the other; the last one ends with the block."""
    numbers = (number for number in count() if not kind.path(out, number).exists())
    with ExitStack() as stack:
        shard: Shard | None = None
        samples = 0

        def add(sample: Sample) -> None:
            nonlocal shard, samples
            if shard and (samples == SHARD_SAMPLES or not shard.room_for(sample, shard_bytes)):
                stack.close()
                shard = None
            if shard is None:
                shard = stack.enter_context(kind.writing(kind.path(out, next(numbers)), columns))
                samples = 0
            shard.add(sample)
            samples += 1
            sample.file.unlink()

        yield add
