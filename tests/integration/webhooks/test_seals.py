"""Which secret signs for whom, and what a rotation changes."""

import pytest

from jobs.db import Database
from jobs.errors import Conflict
from jobs.models import DEFAULT_PROJECT
from jobs.settings import Settings
from jobs.webhooks import endpoints, seals
from jobs.webhooks.secrets import OVERLAP, Signer, open_signer
from tests.factories import NOW
from tests.integration.webhooks.telling import NOBODY, finish, make_endpoint, tell


def test_the_secret_outlives_its_process(settings: Settings) -> None:
    first, second = open_signer(settings), open_signer(settings)

    assert first.secret("a", 0) == second.secret("a", 0) != second.secret("a", 1)
    assert (settings.home / "webhook.secret").stat().st_mode & 0o077 == 0


def test_after_a_rotation_both_secrets_sign_for_a_day(database: Database, signer: Signer) -> None:
    endpoint_id = make_endpoint(database, "https://a.test/", signer)
    with database.transaction() as db:
        seals.rotate(db, endpoints.get(db, DEFAULT_PROJECT, endpoint_id), signer, NOW)
        seal = seals.seal_of(db, endpoints.get(db, DEFAULT_PROJECT, endpoint_id))
    new, old = signer.secret(endpoint_id, 1), signer.secret(endpoint_id, 0)

    assert signer.valid(seal, NOW) == [new, old]
    assert signer.valid(seal, NOW + OVERLAP) == [new]


def test_addresses_that_jobs_name_share_the_projects_secret(
    database: Database, signer: Signer
) -> None:
    for number in range(2):
        finish(database, webhook_url=f"https://a.test/{number}")
    tell(database)

    with database.transaction() as db:
        named = endpoints.list_endpoints(db, DEFAULT_PROJECT, is_named=True, limit=9)
        shown = seals.show_project(db, DEFAULT_PROJECT, signer)
        found = {seals.seal_of(db, endpoint) for endpoint in named}
        other = seals.show_project(db, "other", signer)

    assert found == {shown}
    assert signer.valid(shown, NOW) != signer.valid(other, NOW)
    with database.transaction() as db, pytest.raises(Conflict, match="project's secret"):
        seals.rotate(db, named[0], signer, NOW)


def test_the_projects_secret_is_rotated_like_any_other(database: Database, signer: Signer) -> None:
    with database.transaction() as db:
        before = seals.show_project(db, DEFAULT_PROJECT, signer)
        after = seals.rotate_project(db, DEFAULT_PROJECT, signer, NOW)

    (old,) = signer.valid(before, NOW)
    new, still = signer.valid(after, NOW)
    assert (still == old, new == old) == (True, False)


def test_a_secret_that_another_machine_has_shown_is_not_made_up(
    database: Database, signer: Signer
) -> None:
    with database.transaction() as db:
        seals.show_project(db, DEFAULT_PROJECT, NOBODY)

        with pytest.raises(Conflict, match="DARKROOM_SECRET_KEY"):
            seals.show_project(db, DEFAULT_PROJECT, signer)

        assert signer.knows(seals.rotate_project(db, DEFAULT_PROJECT, signer, NOW))
