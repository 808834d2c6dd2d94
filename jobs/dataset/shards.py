"""Datasets in shards: files of many samples, each whole or not there, and never touched again.

An export that is run again adds shards for what is new. A shard that is damaged, or holds what
does not belong there any more, is removed once others hold its samples.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from jobs.dataset.card import card_of, write_card
from jobs.dataset.columns import Columns
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.folder import (
    ABOUT_FILE,
    claim,
    reopen,
    replacing,
    sole_export,
    told,
    workplace,
    write_json,
)
from jobs.dataset.harvest import harvest
from jobs.dataset.held import new_index
from jobs.dataset.item import Item
from jobs.dataset.salvage import Salvage
from jobs.dataset.sample import Sample, file_name, sample_of
from jobs.dataset.shard import Shard, ShardForm
from jobs.dataset.tally import Summary, Tally
from jobs.errors import BatchChanged

#: Small enough to be copied and tried again, large enough to be read in one go.
SHARD_BYTES = 500_000_000

#: Of tiny files; readers shuffle within a shard.
SHARD_SAMPLES = 10_000


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
    with told(out), ExitStack() as stack:
        stack.enter_context(sole_export(out))
        # Whoever had the folder until now may have claimed it too.
        claim(out, about, kind.form)
        place = stack.enter_context(workplace(out))
        held = stack.enter_context(new_index())
        salvage = Salvage(out=out, place=place, kind=kind, held=held)
        columns = salvage.survey(items)
        reopen(out)
        failed = stack.enter_context(replacing(out / "failed.jsonl"))
        walk = harvest(items, open_output, salvage.target_of, tally=tally, failed=failed)
        with rolling(out, kind, columns, shard_bytes) as add, closing(walk):
            for item, fetched in walk:
                if held.has(item, fetched.output):
                    continue
                try:
                    add(sample_of(item, fetched.output, columns, place))
                except BatchChanged:
                    (place / file_name(item, fetched.output)).unlink()
                    tally.defer(fetched)
        salvage.clear()
    with told(out):
        write_card(out, card_of(kind.form, columns, about, tally))
        write_json(out / ABOUT_FILE, tally.report(about, kind.form))
    return tally.summary()


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
