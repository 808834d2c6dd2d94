"""A batch out of database and bucket into a folder."""

from pathlib import Path

from jobs import batches
from jobs.cli.home import Home
from jobs.dataset import Summary, export_files
from jobs.dataset.stored import items_of


def export_batch(home: Home, batch: str, out: Path) -> Summary:
    """Write the dataset, or bring it up to date."""
    with home.database.reading() as db:
        found = batches.get_batch(db, home.project_id, batch)
    about = {"batch_id": found.id, "batch": found.name, **found.about}
    return export_files(items_of(home.database, found.id), home.storage.open, out, about)
