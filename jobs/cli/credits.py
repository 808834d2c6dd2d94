"""What the keys of the settings have left, for `doctor`: each question has a permit."""

import sys
import time
from contextlib import ExitStack, closing
from http import HTTPStatus

from jobs.balances import Teller, read_balance
from jobs.cli.embed import open_limiter, with_redis
from jobs.credentials import BY_HAND, Keyring, record_balance, stopped_credentials
from jobs.db import Database
from jobs.errors import PartUnavailable
from jobs.limiter.permits import Limiter, connect
from jobs.public import credits_of
from jobs.schema import current_revision
from jobs.settings import Settings
from jobs.stability.client import StabilityClient

#: For so long slots are waited for: a Redis that knows nothing yet gives none for a window.
PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.2


def credits_left(settings: Settings) -> list[str]:
    """A few words on each key; raises PartUnavailable for one that the API refuses."""
    with closing(Database(settings.database_address)) as database:
        with database.reading() as db:
            is_new = current_revision(db) is None
        if not is_new:
            return ask_with_permits(settings, database)
    # Nothing was ever sent from here, so there is nobody who would have to make room.
    client = StabilityClient(settings.api_host)
    answers = [client.balance(key=key) for key in settings.api_keys]
    return [
        words(number, answer.status_code, read_balance(answer))
        for number, answer in enumerate(answers, start=1)
    ]


def ask_with_permits(settings: Settings, database: Database) -> list[str]:
    """The same beside workers, which send less meanwhile; a Redis of ours is started if need be."""
    told = []
    with ExitStack() as stack:
        settings = with_redis(stack, settings, lambda line: print(line, file=sys.stderr))
        open_limiter(settings, database)
        assert settings.redis_url is not None
        keyring = Keyring(database, settings.api_keys)
        keyring.register()
        limiter = Limiter(connect(settings.redis_url), settings.darkroom_rate)
        client = StabilityClient(settings.api_host)
        teller = Teller(limiter, client, keyring, settings.freeze)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for number, credential_id in enumerate(keyring.ids, start=1):
            told.append(ask_one(teller, database, number, credential_id, deadline))
    return told


def ask_one(
    teller: Teller, database: Database, number: int, credential_id: str, deadline: float
) -> str:
    """A few words on one key, and for the database what it has left."""
    with database.reading() as db:
        if stopped_credentials(db).get(credential_id) == BY_HAND:
            return f"key {number}: stopped, so it was not asked for"
    while (told := teller.ask([credential_id])) is None:
        if time.monotonic() > deadline:
            return f"key {number}: no slot is free now, as the key is in use"
        time.sleep(LOOK_SECONDS)
    if told.milli is not None:
        with database.transaction() as db:
            record_balance(db, credential_id, told.milli, database.now())
    return words(number, told.status, told.milli)


def words(number: int, status: int, milli: int | None) -> str:
    """What a key has left; raises PartUnavailable if the API refused it."""
    if status != HTTPStatus.OK:
        raise PartUnavailable(f"key {number}: the API answers {status}")
    return f"key {number}: {credits_of(milli)} credits"
