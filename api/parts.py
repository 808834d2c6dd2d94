"""What the interface works with, built once from the settings; nothing is asked of it yet."""

from dataclasses import dataclass
from typing import Annotated

import redis
from fastapi import Depends
from starlette.requests import Request

from api.bulletin import Bulletin
from api.nudger import Nudger
from jobs.credentials import Keyring
from jobs.db import Database
from jobs.keys import Doorkeeper
from jobs.limiter.permits import Limiter, connect
from jobs.settings import Settings
from jobs.storage import open_storage
from jobs.storage.protocol import Storage

#: Each request has a thread of the server's pool, which has 40, and each thread one connection.
CONNECTIONS = 40


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that a request may touch."""

    settings: Settings
    database: Database
    storage: Storage
    redis: "redis.Redis"
    limiter: Limiter
    keyring: Keyring
    doorkeeper: Doorkeeper
    nudger: Nudger
    bulletin: Bulletin


def build_parts(settings: Settings) -> Parts:
    """Connect to everything."""
    assert settings.redis_url is not None, "REDIS_URL is set by now: ours or the user's"
    database = Database(settings.database_address, connections=CONNECTIONS)
    client = connect(settings.redis_url)
    return Parts(
        settings=settings,
        database=database,
        storage=open_storage(settings),
        redis=client,
        limiter=Limiter(client, settings.darkroom_rate),
        keyring=Keyring(database, settings.api_keys),
        doorkeeper=Doorkeeper(database),
        nudger=Nudger(client),
        bulletin=Bulletin(database),
    )


async def parts_of(request: Request) -> Parts:
    """The application's parts."""
    parts: Parts = request.app.state.parts
    return parts


UsesParts = Annotated[Parts, Depends(parts_of)]
