"""What `run` does between its question and its end: load every row, and see which may go on."""

from pathlib import Path

import pytest

from jobs.cli.export import Shelf
from jobs.cli.home import Home
from jobs.cli.order import Order
from jobs.cli.sight import Sight, goes_on, left_behind, look
from jobs.cli.work import new_jobs
from jobs.db import Database
from jobs.errors import InvalidManifest
from jobs.forecast import Forecaster
from jobs.identity import owner_name
from jobs.manifest import Expansion, check
from jobs.outcomes import Refused
from jobs.queue import intake
from jobs.queue.attempts import begin
from jobs.queue.moves import BATCH
from jobs.queue.settling import settle
from jobs.settings import read_settings
from jobs.states import JobState
from jobs.storage.protocol import Storage
from jobs.tallies import Counts
from tests.factories import (
    CREDENTIAL,
    NOW,
    OWNER,
    PRICE,
    fault,
    make_batch,
    make_job,
    new_job,
    take_due,
)
from tests.functional.manifests import write_csv, write_picture

ROWS = 4


@pytest.fixture
def home(database: Database, folder_storage: Storage, tmp_path: Path) -> Home:
    settings = read_settings(_env_file=None, darkroom_home=tmp_path)
    return Home(settings, database, folder_storage)


@pytest.fixture
def batch_id(home: Home) -> str:
    """Four jobs, of which the budget has room for two."""
    with home.database.transaction() as db:
        made = make_batch(db, budget_milli=2 * PRICE, size=ROWS, loaded_at=NOW)
        jobs = [new_job(row=row) for row in range(ROWS)]
        intake.submit(db, jobs, NOW, project_id=home.project_id, batch_id=made)
    return made


def see(home: Home, batch_id: str) -> Sight:
    """Look once."""
    return look(home, batch_id, Sight(Counts({}, 0)), Forecaster(home.settings))


def refuse_all(home: Home) -> None:
    """Whatever is queued is sent, refused, and not charged."""
    with home.database.transaction() as db:
        for claim in take_due(db):
            begun = begin(db, claim, NOW, credential_id=CREDENTIAL, owner=OWNER)
            assert begun is not None
            settle(db, begun, Refused(fault("no")), NOW)


def test_what_was_not_charged_makes_room_for_what_the_budget_held(
    home: Home, batch_id: str
) -> None:
    # Given two jobs that were refused, and two that the budget held
    refuse_all(home)
    sight = see(home, batch_id)
    assert sight.counts.by_state == {JobState.FAILED: 2, JobState.HELD: 2}
    assert sight.is_settled(ROWS)

    # When it is asked whether that is all, then the other two go on, and whoever looked too early
    # is told so as well
    assert goes_on(home, batch_id, sight)
    assert see(home, batch_id).counts.of(JobState.QUEUED) == 2
    assert goes_on(home, batch_id, sight)

    # And when they have ended too, that is all
    refuse_all(home)
    assert not goes_on(home, batch_id, see(home, batch_id))


def test_what_the_budget_has_no_room_for_does_not_go_on(home: Home, batch_id: str) -> None:
    refuse_all(home)
    with home.database.transaction() as db:
        db.execute(BATCH.update().values(budget_milli=0))

    sight = see(home, batch_id)

    assert sight.is_settled(ROWS)
    assert not goes_on(home, batch_id, sight)


def test_calls_of_a_dead_worker_are_told_from_those_of_a_living_one(home: Home) -> None:
    # Given a call of a worker that was here and is gone, and one of this very process
    me = owner_name()
    gone = me.rpartition(":")[0] + ":0"
    with home.database.transaction() as db:
        batch_id = make_batch(db, name="hares")
        for row, owner in enumerate((gone, me)):
            make_job(db, JobState.SUBMITTING, batch_id=batch_id, row=row, lease_owner=owner)

    # Then only the first is left behind, and none of a batch that is not there yet
    with home.database.reading() as db:
        assert left_behind(db, "hares") == 1
        assert left_behind(db, "other hares") == 0


def test_a_row_whose_picture_went_away_after_the_check_is_named(home: Home, tmp_path: Path) -> None:
    # Given a manifest that was checked
    pictures = [write_picture(tmp_path / f"{n}.png", 160, 120) for n in range(3)]
    manifest = write_csv(tmp_path / "m.csv", [{"image": path.name} for path in pictures])
    order = order_of(manifest)
    assert check(manifest, order.expansion).is_sound

    # When a picture is deleted before it is loaded
    pictures[1].unlink()

    # Then the load says which, and does not leave it out
    with pytest.raises(InvalidManifest, match=r"row 2 \(line 3\): image: '1.png' cannot be read"):
        list(new_jobs(home, order))


def order_of(manifest: Path) -> Order:
    """What a user asks for who asks for nothing else."""
    return Order(
        manifest=manifest,
        expansion=Expansion(operation="upscale/fast", set={}, matrix={}, repeat=1),
        name="m",
        shelf=Shelf(manifest.parent / "out"),
        budget_milli=None,
        on_uncertain=None,
        webhook_url=None,
        as_json=False,
        is_agreed=True,
    )
