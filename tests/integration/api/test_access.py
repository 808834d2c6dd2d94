"""Who may come in."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from jobs import keys
from jobs.db import Database
from jobs.errors import Conflict, NotFound
from jobs.keys import Scope
from jobs.limits import Limits
from jobs.models import table
from jobs.models_api import ApiKey
from jobs.settings import Settings
from tests.integration.api.serving import Client, served
from tests.servers import wait_until

KEY = table(ApiKey)
JOBS = "/v1/jobs"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "header",
    ["", "Basic abc", "Bearer", "Bearer dk_x", f"Bearer dk_{'0' * 12}_{'0' * 48}", "Bearer \xe9"],
    ids=["none", "another kind", "empty", "not a key", "unknown", "not ascii"],
)
def test_without_a_valid_key_nobody_comes_in(stranger: Client, header: str) -> None:
    answer = stranger.get(JOBS, headers={"authorization": header.encode("latin-1")})

    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_right_id_with_a_wrong_secret_is_refused(stranger: Client, make_key) -> None:
    key = make_key()

    answer = stranger.get(JOBS, headers=bearer(key[:-1] + ("0" if key[-1] != "0" else "1")))

    assert answer.status_code == 401


def test_a_key_that_may_read_may_not_submit(stranger: Client, make_key) -> None:
    reader = bearer(make_key("acme", "read"))

    assert stranger.get(JOBS, headers=reader).status_code == 200
    refused = stranger.post(JOBS, headers=reader, json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_a_key_that_may_submit_may_not_read(stranger: Client, make_key) -> None:
    submitter = bearer(make_key("acme", "submit"))

    assert stranger.get(JOBS, headers=submitter).status_code == 403
    assert stranger.post(JOBS, headers=submitter, json={}).status_code == 422


def test_an_admin_may_do_both(stranger: Client, make_key) -> None:
    admin = bearer(make_key("acme", "admin"))

    assert stranger.get(JOBS, headers=admin).status_code == 200
    assert stranger.post(JOBS, headers=admin, json={}).status_code == 422


def test_a_revoked_key_is_refused_within_a_second_or_so(
    stranger: Client, make_key, database: Database
) -> None:
    key = make_key()
    assert stranger.get(JOBS, headers=bearer(key)).status_code == 200

    with database.transaction() as db:
        keys.revoke_key(db, key.split("_")[1], database.now())

    wait_until(
        lambda: stranger.get(JOBS, headers=bearer(key)).status_code == 401, "the key is refused"
    )


def test_a_revoked_key_is_refused_by_every_process(
    stranger: Client, settings: Settings, make_key, database: Database
) -> None:
    key = make_key()
    with served(settings) as other:
        processes = [stranger, other]
        assert [to.get(JOBS, headers=bearer(key)).status_code for to in processes] == [200, 200]

        with database.transaction() as db:
            keys.revoke_key(db, key.split("_")[1], database.now())

        wait_until(
            lambda: {to.get(JOBS, headers=bearer(key)).status_code for to in processes} == {401},
            "both refuse the key",
        )


def test_a_rotated_key_may_do_the_same_and_the_old_one_ends_later(
    stranger: Client, database: Database
) -> None:
    now, limits = database.now(), Limits(requests=50, open_jobs=7)
    with database.transaction() as db:
        old, old_id = keys.create_key(db, "acme", [Scope.READ], now, limits=limits)
        new, new_id = keys.rotate_key(db, old_id, now, overlap=timedelta(hours=24))
        row, replaced = keys.get_key(db, new_id), keys.get_key(db, old_id)

    assert (row.project_id, row.scopes, keys.limits_of(row)) == ("acme", ["read"], limits)
    assert (keys.end_of(row), keys.end_of(replaced)) == (None, now + timedelta(hours=24))
    for key in (old, new):
        assert stranger.get(JOBS, headers=bearer(key)).status_code == 200


def test_a_key_without_an_overlap_ends_at_once(
    stranger: Client, make_key, database: Database
) -> None:
    old = make_key()
    assert stranger.get(JOBS, headers=bearer(old)).status_code == 200

    with database.transaction() as db:
        new, _ = keys.rotate_key(db, old.split("_")[1], database.now(), overlap=timedelta())

    wait_until(
        lambda: stranger.get(JOBS, headers=bearer(old)).status_code == 401, "the old key is refused"
    )
    assert stranger.get(JOBS, headers=bearer(new)).status_code == 200


def test_rotation_lengthens_no_life(database: Database) -> None:
    now, day = database.now(), timedelta(days=1)
    with database.transaction() as db:
        _, old_id = keys.create_key(db, "acme", [Scope.READ], now, expires_at=now + day)
        _, new_id = keys.rotate_key(db, old_id, now, overlap=2 * day)
        ends = [keys.end_of(keys.get_key(db, one)) for one in (old_id, new_id)]

    assert ends == [now + day, now + day]


@pytest.mark.parametrize("life", [None, timedelta(days=30)])
def test_a_key_that_is_rotated_again_is_replaced_by_one_that_lives_as_long(
    database: Database, life: timedelta | None
) -> None:
    # Given a key that was rotated, though nobody got to know the new one,
    now, hour = database.now(), timedelta(hours=1)
    expires_at = None if life is None else now + life
    with database.transaction() as db:
        _, old_id = keys.create_key(db, "acme", [Scope.READ], now, expires_at=expires_at)
        keys.rotate_key(db, old_id, now, overlap=hour)

        # when it is rotated once more,
        _, new_id = keys.rotate_key(db, old_id, now, overlap=2 * hour)

        # then the second one is as the first one was, and the old one ends as it was told.
        assert keys.end_of(keys.get_key(db, new_id)) == expires_at
        assert keys.end_of(keys.get_key(db, old_id)) == now + hour


def test_a_key_that_was_rotated_can_be_revoked_before_its_end(database: Database) -> None:
    now = database.now()
    with database.transaction() as db:
        _, old_id = keys.create_key(db, "acme", [Scope.READ], now)
        keys.rotate_key(db, old_id, now, overlap=timedelta(hours=1))

        keys.revoke_key(db, old_id, now)

        assert keys.end_of(keys.get_key(db, old_id)) == now


def test_a_key_that_has_ended_cannot_be_rotated(database: Database) -> None:
    now = database.now()
    with database.transaction() as db:
        _, expired = keys.create_key(db, "acme", [Scope.READ], now, expires_at=now)
        _, revoked = keys.create_key(db, "acme", [Scope.READ], now)
        keys.revoke_key(db, revoked, now)

        for key_id, error in ((expired, Conflict), (revoked, Conflict), ("none", NotFound)):
            with pytest.raises(error):
                keys.rotate_key(db, key_id, now, overlap=timedelta())


def test_an_expired_key_is_refused(stranger: Client, database: Database) -> None:
    now = database.now()
    with database.transaction() as db:
        # The API has a clock of its own, which agrees with this one to some milliseconds.
        ended_at = now - timedelta(seconds=1)
        key, _ = keys.create_key(db, "acme", [Scope.READ], now, expires_at=ended_at)

    assert stranger.get(JOBS, headers=bearer(key)).status_code == 401


def test_a_key_that_expires_later_is_good(stranger: Client, database: Database) -> None:
    now = database.now()
    with database.transaction() as db:
        key, _ = keys.create_key(db, "acme", [Scope.READ], now, expires_at=now + timedelta(hours=1))

    assert stranger.get(JOBS, headers=bearer(key)).status_code == 200


def test_the_last_use_is_written_once_and_not_at_each_request(
    client: Client, database: Database
) -> None:
    def last_use() -> object:
        with database.reading() as db:
            return db.execute(select(KEY.c.last_used_at)).scalar_one()

    assert last_use() is None
    client.get(JOBS)
    first = last_use()
    client.get(JOBS)

    assert first is not None
    assert last_use() == first


def test_neither_key_nor_secret_is_in_the_database(database: Database, make_key) -> None:
    secret = make_key().split("_")[2]

    with database.reading() as db:
        row = db.execute(select(KEY)).one()

    assert secret not in str(row)
    assert row.secret_sha256 == keys.digest(secret)
