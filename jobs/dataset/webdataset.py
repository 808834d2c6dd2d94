"""The format `webdataset`: tars in which a file and the JSON beside it share a key.

Readers put together what has the same name up to the first dot, and lies side by side. Nothing
else may be in such a tar, or it would be a sample too.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from jobs.dataset.columns import Columns, learn_columns
from jobs.dataset.fetch import OpenOutput
from jobs.dataset.folder import json_line, replacing
from jobs.dataset.form import Form
from jobs.dataset.item import Item
from jobs.dataset.sample import Sample, passing_samples
from jobs.dataset.shard import Damaged, ShardForm, checksum_of
from jobs.dataset.tar import END, member, room
from jobs.durable import sha256_of
from jobs.errors import Conflict


class TarShard:
    """A tar that is being written, hashed on its way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = len(END)

    def room_for(self, sample: Sample, limit: int) -> bool:
        """Whether it stays below so many bytes."""
        return self._size + room(sample.output.bytes) + room(len(columns_json(sample))) <= limit

    def add(self, sample: Sample) -> None:
        """Write a sample."""
        for piece in members(sample):
            self._write(piece)

    def finish(self) -> str:
        """Write the end; the sha256 of it all."""
        self._write(END)
        return self._digest.hexdigest()

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._digest.update(piece)
        self._size += len(piece)


def members(sample: Sample) -> Iterator[bytes]:
    """A sample as a piece of a tar."""
    with sample.file.open("rb") as file:
        yield from member(sample.file.name, file)
    yield from member(f"{sample.key}.json", BytesIO(columns_json(sample)))


def columns_json(sample: Sample) -> bytes:
    """What is known of a file, as it lies beside it."""
    return json_line(sample.record)


@contextmanager
def writing(path: Path, _: Columns) -> Iterator[TarShard]:
    """A new shard; its checksum is there first, so that no shard is ever without one."""
    with replacing(path) as file:
        shard = TarShard(file)
        yield shard
        digest = shard.finish()
        with replacing(checksum_of(path)) as checksum:
            checksum.write(f"{digest}  {path.name}\n".encode())


def contents(path: Path) -> Iterator[tuple[str, str]]:
    """The keys and sha256 of a shard that is as it was written; raises Damaged."""
    try:
        expected = checksum_of(path).read_text().partition(" ")[0]
    except FileNotFoundError as error:
        raise Damaged("it has no checksum") from error
    if sha256_of(path) != expected:
        raise Damaged("its checksum is another one")
    try:
        with tarfile.open(path) as archive:
            for found in archive:
                key, _, ending = found.name.partition(".")
                if ending == "json" and (record := archive.extractfile(found)):
                    yield key, json.load(record)["sha256"]
    except (tarfile.TarError, ValueError, KeyError) as error:
        raise Conflict(f"{path} was not written here; move it elsewhere.") from error


def files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files in a shard, up to where it is torn."""
    with suppress(tarfile.TarError), tarfile.open(path, "r:") as archive:
        for found in archive:
            if not found.name.endswith(".json") and (file := archive.extractfile(found)):
                yield found.name, file.read()


WEBDATASET = ShardForm(
    form=Form.WEBDATASET,
    file_name="shard-{:05}.tar",
    writing=writing,
    contents=contents,
    files=files,
    # Each sample carries its columns with it.
    fits=lambda _path, _columns: True,
)


def webdataset_stream(items: Iterable[Item], open_output: OpenOutput) -> Iterator[bytes]:
    """All samples as one shard. A StorageError cuts it off; then it has no end.

    The items are read twice.
    """
    with closing(passing_samples(items, open_output, learn_columns(items))) as samples:
        for sample in samples:
            yield from members(sample)
    yield END
