"""What the interface works with, built once from the settings; nothing is asked of it yet."""

from dataclasses import dataclass
from typing import Annotated

import redis
from fastapi import Depends
from starlette.requests import Request

from api.bulletin import Bulletin
from api.gathering import Gathering
from api.meter import Meter
from api.nudger import Nudger
from api.streams import Streams
from api.submissions import Submissions
from api.thumbnails import Thumbnails
from api.views import JobViews
from jobs.balances import Balances, Teller
from jobs.credentials import Keyring
from jobs.db import Database
from jobs.forecast import Forecaster
from jobs.inputs import Policy, policy_of
from jobs.keys import Caller, Doorkeeper
from jobs.limiter.permits import Limiter, connect
from jobs.settings import Settings
from jobs.stability.client import StabilityClient
from jobs.storage import open_storage
from jobs.storage.protocol import Storage
from jobs.uploads import UploadDesk
from jobs.vault import open_vault
from jobs.webhooks.secrets import Signer, open_signer

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
    #: Keys that are not known by heart: when a second is over, all requests at once ask for one.
    admissions: Gathering[str, Caller | None]
    meter: Meter
    nudger: Nudger
    balances: Balances
    forecaster: Forecaster
    views: JobViews
    submissions: Submissions
    bulletin: Bulletin
    thumbnails: Thumbnails
    streams: Streams
    uploads: UploadDesk
    #: From where inputs may be fetched.
    policy: Policy
    signer: Signer


def build_parts(settings: Settings) -> Parts:
    """Connect to everything."""
    assert settings.redis_url is not None, "REDIS_URL is set by now: ours or the user's"
    database = Database(settings.database_address, connections=CONNECTIONS)
    client = connect(settings.redis_url)
    limiter = Limiter(client, settings.darkroom_rate)
    storage = open_storage(settings)
    doorkeeper = Doorkeeper(database)
    forecaster = Forecaster(settings)
    return Parts(
        settings=settings,
        database=database,
        storage=storage,
        redis=client,
        limiter=limiter,
        keyring=Keyring(database, settings.api_keys),
        doorkeeper=doorkeeper,
        admissions=Gathering(doorkeeper.admit_all),
        meter=Meter(settings.redis_url),
        nudger=Nudger(client),
        balances=open_balances(settings, database, limiter),
        forecaster=forecaster,
        views=JobViews(database, forecaster),
        submissions=Submissions(database),
        bulletin=Bulletin(database),
        thumbnails=Thumbnails(storage),
        streams=Streams(),
        uploads=UploadDesk(database, storage),
        policy=policy_of(settings),
        signer=open_signer(settings),
    )


def open_balances(settings: Settings, database: Database, limiter: Limiter) -> Balances:
    """What asks for balances: with every key, those that the database keeps sealed too."""
    keyring = Keyring(database, settings.api_keys, open_vault(settings))
    client = StabilityClient(settings.api_host)
    return Balances(database, Teller(limiter, client, keyring, settings.freeze))


async def parts_of(request: Request) -> Parts:
    """The application's parts."""
    parts: Parts = request.app.state.parts
    return parts


UsesParts = Annotated[Parts, Depends(parts_of)]
