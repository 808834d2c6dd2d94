"""A dispatcher and worker in a process of its own; prints which jobs it took."""

import os
import sys

from jobs.db import Database
from tests.factories import take_due


def main() -> None:
    """Take due jobs, few at a time, until there are none."""
    database = Database(sys.argv[1])
    while True:
        with database.transaction() as db:
            taken = take_due(db, owner=f"worker {os.getpid()}", limit=3)
        if not taken:
            return
        sys.stdout.writelines(f"{claim.id}\n" for claim in taken)


if __name__ == "__main__":
    main()
