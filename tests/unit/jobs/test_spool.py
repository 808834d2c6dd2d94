import errno
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import pytest
import requests

from jobs.durable import storage_errors
from jobs.errors import StorageError
from jobs.spool import Spool, Spooled
from tests.unit.jobs.spool_crash import CHUNKS

ANSWER = b"".join(CHUNKS)
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def receive(spool: Spool, chunks: Iterable[bytes] = CHUNKS, max_bytes: int = 100) -> Spooled:
    return spool.receive("attempt", chunks, facts={"seed": 1}, max_bytes=max_bytes)


def files(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.glob("*"))


def age(path: Path) -> None:
    os.utime(path, (0, 0))


def test_an_answer_that_was_received_is_found_again(spool: Spool) -> None:
    received = receive(spool)

    found = Spool(spool.folder).find("attempt")
    assert found == received
    assert found.facts == {"seed": 1}
    assert (found.size, found.sha256) == (len(ANSWER), hashlib.sha256(ANSWER).hexdigest())
    with found.open() as body:
        assert body.read() == ANSWER


def test_an_answer_is_for_its_owner_only(spool: Spool) -> None:
    receive(spool)

    assert [path.stat().st_mode & 0o777 for path in spool.folder.iterdir()] == [0o600, 0o600]
    assert spool.folder.stat().st_mode & 0o777 == 0o700


def test_what_never_came_is_not_found(spool: Spool) -> None:
    assert spool.find("attempt") is None
    assert list(spool.pending()) == []
    assert spool.clean(timedelta(0)) == 0


def test_a_discarded_answer_is_gone(spool: Spool) -> None:
    receive(spool)

    spool.discard("attempt")
    spool.discard("attempt")

    assert spool.find("attempt") is None
    assert list(spool.pending()) == []
    assert not any(name.startswith("attempt") for name in files(spool))


def test_the_files_of_discarded_answers_are_written_over(spool: Spool) -> None:
    # Given a note that is much longer than the next one,
    spool.receive("first", [b"bytes"], facts={"seed": "1" * 1000}, max_bytes=10)
    spool.discard("first")

    for number in range(3):
        spool.receive(f"next-{number}", [b"bytes"], facts={}, max_bytes=10)
        found = spool.find(f"next-{number}")
        assert found is not None
        assert found.facts == {}
        spool.discard(f"next-{number}")

    # then one file was enough.
    assert len(files(spool)) == 1


def test_the_sweep_sees_every_whole_answer(spool: Spool) -> None:
    for attempt in ("b", "a", "c"):
        spool.receive(attempt, [b"bytes"], facts={}, max_bytes=10)
    (spool.folder / "c.body").write_bytes(b"other")
    (spool.folder / "not ours.body").write_bytes(b"")

    assert list(spool.pending()) == ["a", "b"]


def test_an_answer_is_in_one_pair_of_hands(spool: Spool) -> None:
    receive(spool)

    with (
        spool.alone("attempt", most_deaths=1) as first,
        spool.alone("attempt", most_deaths=1) as second,
    ):
        assert (first, second) == (True, False)

    with spool.alone("attempt", most_deaths=1) as third:
        assert third


def test_who_dies_with_an_answer_is_counted_and_who_fails_is_not(spool: Spool) -> None:
    # Given somebody who failed, and two who were killed
    receive(spool)
    with pytest.raises(ValueError, match="no"), spool.alone("attempt", most_deaths=2):
        raise ValueError("no")
    taken = [taken_by_who_dies(spool) for _ in range(2)]

    # When others want it
    with spool.alone("attempt", most_deaths=2) as is_allowed:
        assert not is_allowed

    # Then it is for those alone who allow more deaths, and once one lives all is forgotten
    with spool.alone("attempt", most_deaths=3) as is_allowed:
        assert is_allowed
    with spool.alone("attempt", most_deaths=1) as is_allowed:
        assert is_allowed
    assert taken == [True, True]


def taken_by_who_dies(spool: Spool) -> bool:
    """Let another process take the answer, and end at once; tells whether it had it."""
    code = f"""
import os
from pathlib import Path
from jobs.spool import Spool
with Spool(Path({str(spool.folder)!r})).alone("attempt", most_deaths=2) as is_allowed:
    os._exit(9 if is_allowed else 0)
"""
    return subprocess.run([sys.executable, "-c", code], check=False, cwd=REPOSITORY).returncode == 9


def test_a_deadly_answer_may_be_tried_again_a_day_later(spool: Spool) -> None:
    receive(spool)
    marks = spool.folder / "attempt.marks"
    marks.write_bytes(b"...")

    with spool.alone("attempt", most_deaths=3) as is_allowed:
        assert not is_allowed
    age(marks)

    with spool.alone("attempt", most_deaths=3) as is_allowed:
        assert is_allowed


def test_marks_without_an_answer_are_cleaned_up(spool: Spool) -> None:
    receive(spool)
    with spool.alone("attempt", most_deaths=1):
        pass
    assert spool.clean(timedelta(seconds=-1)) == 0

    spool.discard("attempt")
    spool.clean(timedelta(seconds=-1))

    assert files(spool) == []


def test_the_first_answer_of_an_attempt_stays(spool: Spool) -> None:
    first = receive(spool)

    second = receive(spool, [b"late"])

    assert second == first
    assert files(spool) == ["attempt.body", "attempt.json"]


def test_two_who_receive_at_once_agree(spool: Spool) -> None:
    answers = [[b"one"] * 50, [b"another"] * 50, [b"yet another"] * 50]

    with ThreadPoolExecutor(3) as pool:
        received = list(pool.map(lambda chunks: receive(spool, chunks, 1000), answers))

    assert received == [spool.find("attempt")] * 3
    assert files(spool) == ["attempt.body", "attempt.json"]


def test_a_connection_that_breaks_leaves_nothing_and_is_no_fault_of_the_disk(spool: Spool) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first "
        raise requests.ConnectionError("gone")

    with pytest.raises(requests.ConnectionError):
        receive(spool, broken())

    assert files(spool) == []


def test_an_answer_beyond_the_limit_is_refused(spool: Spool) -> None:
    assert receive(spool, CHUNKS, len(ANSWER)).size == len(ANSWER)
    spool.discard("attempt")

    with pytest.raises(StorageError, match="larger than 17 bytes"):
        receive(spool, CHUNKS, len(ANSWER) - 1)

    assert files(spool) == []


def test_a_disk_that_takes_no_more_leaves_no_half_file(spool: Spool) -> None:
    with largest_file(100_000), pytest.raises(StorageError, match="Could not write the spool: "):
        receive(spool, [bytes(60_000)] * 2, 1_000_000)

    assert files(spool) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to write files beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_named() -> None:
    with (
        pytest.raises(StorageError, match=r"^Could not write the spool: the disk is full\.$"),
        storage_errors("write the spool"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_there_is_room_for_a_picture_but_not_for_everything(spool: Spool) -> None:
    free = os.statvfs(spool.folder.parent).f_bavail * os.statvfs(spool.folder.parent).f_frsize

    assert spool.has_room(1)
    assert not spool.has_room(free)


@pytest.mark.parametrize("damage", [b"", ANSWER[:-1], ANSWER + b"!", bytes(len(ANSWER))])
def test_a_damaged_body_is_not_found(spool: Spool, damage: bytes) -> None:
    receive(spool).path.write_bytes(damage)

    assert spool.find("attempt") is None


@pytest.mark.parametrize("damage", [b"", b'{"sha256"', b"{}", b"[]", b"\xff"])
def test_damaged_facts_are_not_found(spool: Spool, damage: bytes) -> None:
    receive(spool)
    (spool.folder / "attempt.json").write_bytes(damage)

    assert spool.find("attempt") is None


def test_only_old_halves_are_cleaned_up(spool: Spool) -> None:
    receive(spool)
    age(spool.folder / "attempt.body")
    age(spool.folder / "attempt.json")
    for name in ("old.0.part", "new.0.part", "old.json"):
        (spool.folder / name).touch()
    age(spool.folder / "old.0.part")
    age(spool.folder / "old.json")

    cleaned = spool.clean(timedelta(hours=1))

    assert cleaned == 2
    assert files(spool) == ["attempt.body", "attempt.json", "new.0.part"]


def test_a_folder_of_pictures_that_a_dead_worker_left_is_cleaned_up(spool: Spool) -> None:
    receive(spool)
    folders = [Path(mkdtemp(dir=spool.folder)) for _ in range(2)]
    for folder in folders:
        (folder / "0").write_bytes(b"picture")
    age(folders[0])

    cleaned = spool.clean(timedelta(hours=1))

    assert cleaned == 1
    assert files(spool) == sorted(["attempt.body", "attempt.json", folders[1].name])


@pytest.mark.parametrize("attempt_id", ["", "..", "a/b", "a.body", "a\0", "a" * 200])
def test_an_id_that_is_no_name_is_refused(spool: Spool, attempt_id: str) -> None:
    with pytest.raises(ValueError, match="not an attempt"):
        spool.find(attempt_id)
    with pytest.raises(ValueError, match="not an attempt"):
        spool.receive(attempt_id, [], facts={}, max_bytes=1)


def test_a_kill_at_any_line_leaves_a_whole_answer_or_none(tmp_path: Path) -> None:
    # Given spools whose process was killed at each line of receiving in turn
    command = [sys.executable, "-m", "tests.unit.jobs.spool_crash", str(tmp_path)]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    spools = [Spool(folder) for folder in sorted(tmp_path.iterdir())]

    # When they are looked at after the crash
    found = [spool.find("attempt") for spool in spools]
    pending = [list(spool.pending()) for spool in spools]

    # Then each has all or nothing, both happened, and the answer can always come again
    assert len(spools) > 50
    assert {answer.path.read_bytes() for answer in found if answer} == {ANSWER}
    assert found[0] is None
    assert found[-1] is not None
    assert pending == [["attempt"] if answer else [] for answer in found]
    for spool in spools:
        assert receive(spool).sha256 == hashlib.sha256(ANSWER).hexdigest()
        spool.clean(timedelta(seconds=-1))
        assert files(spool) == ["attempt.body", "attempt.json"]
