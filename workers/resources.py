"""What a process works with, built once from the settings."""

from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TypeVar

import redis
from sqlalchemy.exc import SQLAlchemyError

from jobs.clock import uptime
from jobs.credentials import Keyring
from jobs.db import Database, is_away
from jobs.fetches import fetcher_of
from jobs.identity import owner_name
from jobs.limiter.permits import Limiter, connect
from jobs.settings import Settings
from jobs.spool import Spool
from jobs.stability.client import StabilityClient
from jobs.storage import open_storage
from jobs.storage.protocol import Storage
from jobs.telemetry import Changes
from jobs.uploads import UploadDesk
from jobs.vault import open_vault
from workers.commits import Change, Committer, Verb, each
from workers.distance import Distance
from workers.fetching import FetchDesk
from workers.leads import Leads
from workers.pollster import Pollster

Item = TypeVar("Item")
T = TypeVar("T")

#: Seconds between two tries to reach a database that is away.
DATABASE_RETRY_SECONDS = 1.0


@dataclass(kw_only=True)
class Resources:
    """Everything that the executor touches."""

    settings: Settings
    database: Database
    commits: Committer
    storage: Storage
    spool: Spool
    limiter: Limiter
    client: StabilityClient
    keyring: Keyring
    pollster: Pollster
    redis: redis.Redis
    fetches: FetchDesk
    uploads: UploadDesk
    owner: str
    #: Set when the process was told to stop: nothing new is begun.
    stopping: Event = field(default_factory=Event)
    #: Set when its time is up.
    ended: Event = field(default_factory=Event)
    changes: Changes = field(default_factory=Changes)
    #: Held by the one job here whose earlier worker died.
    suspect: Lock = field(default_factory=Lock)
    leads: Leads = field(default_factory=Leads)
    distance: Distance = field(default_factory=Distance)
    #: Until when the leases surely hold, by `uptime`.
    leased_until: float = field(default=0.0)

    def persist(self, change: Change[T]) -> T:
        """Commit a change, however long the database is away: something was paid for."""
        return self.persist_with(each, change)

    def persist_with(self, verb: Verb[Item, T], item: Item) -> T:
        """The same for an item of a verb."""
        while True:
            try:
                done = self.commits.join(verb, item)
            except SQLAlchemyError as error:
                if not is_away(error):
                    raise
                self.changes.say("database", type(error).__name__)
                if self.ended.wait(DATABASE_RETRY_SECONDS):
                    raise
            else:
                self.changes.say("database", "ok")
                return done

    @property
    def may_send(self) -> bool:
        """Whether the leases hold long enough for a request to be sent now.

        A process that was stopped, or slept, past its lease finds out here, before it pays.
        """
        margin = self.settings.lease.total_seconds() / 4
        return uptime() < self.leased_until - margin


def build_resources(settings: Settings) -> Resources:
    """Connect to everything; nothing is asked of the servers yet."""
    assert settings.redis_url is not None, "REDIS_URL is set by now: ours or the user's"
    database = Database(settings.database_address)
    threads = settings.darkroom_worker_threads
    client = connect(settings.redis_url)
    storage = open_storage(settings)
    return Resources(
        settings=settings,
        database=database,
        commits=Committer(database),
        storage=storage,
        spool=Spool(settings.home / "spool"),
        limiter=Limiter(
            client, settings.darkroom_rate, urgent_share=settings.darkroom_interactive_share
        ),
        client=StabilityClient(
            settings.api_host,
            answer_seconds=settings.darkroom_answer_seconds,
            connections=threads,
        ),
        pollster=Pollster(database, settings.poll_gap),
        keyring=Keyring(database, settings.api_keys, open_vault(settings)),
        redis=client,
        fetches=FetchDesk(fetcher_of(settings, database, storage), threads=threads),
        uploads=UploadDesk(database, storage),
        owner=owner_name(),
    )
