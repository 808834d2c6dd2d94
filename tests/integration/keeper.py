"""A worker that has taken every due job, and only keeps its leases; its settings are given."""

from threading import Event

from jobs.queue import leases
from jobs.settings import read_settings
from workers.lease import LeaseKeeper
from workers.resources import build_resources


def main() -> None:
    """Take, and keep until the process is ended."""
    r = build_resources(read_settings(_env_file=None))
    lease = r.settings.lease
    now = r.database.now()
    with r.database.transaction() as db:
        ids = leases.claim_due(db, now, limit=100, lease=lease)
        leases.take(db, ids, now, owner=r.owner, lease=lease)
    LeaseKeeper(r, lambda: ids).start()
    Event().wait()


if __name__ == "__main__":
    main()
