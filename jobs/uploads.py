"""Files that callers send past us: announced, sent to the bucket, looked at, and then assets."""

import secrets
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import PurePath
from shutil import copyfileobj
from typing import Any, BinaryIO, cast

from sqlalchemy import Row, delete, insert, select, update

from jobs.assets import add_image, digest_of, find_asset
from jobs.catalog.images import read_image_facts
from jobs.db import Database
from jobs.durable import CHUNK_BYTES
from jobs.errors import Fault, InvalidJob, NotFound, NotUploaded
from jobs.models import new_id, table
from jobs.models_inputs import Upload
from jobs.storage.keys import upload_key
from jobs.storage.protocol import Storage

UPLOAD = table(Upload)

#: How long a file may be sent after it was announced, and an unfinished upload is remembered.
LIFE = timedelta(hours=1)
MEMORY = timedelta(days=1)
#: Of old uploads that are looked after in one go.
FEW = 100
#: Of an upload for which nothing lies in the bucket any more, and nothing can be sent.
NO_TICKET = ""

CONTENT_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}


@dataclass(frozen=True, kw_only=True)
class Announced:
    """What became of an announcement: the way to send the file, or an asset that is there."""

    asset_id: str
    is_here: bool = False
    #: The bucket's own address and fields; without, the file comes to us with the ticket.
    url: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    ticket: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True)
class UploadDesk:
    """Takes announcements and what was announced; safe to share between threads."""

    database: Database
    storage: Storage

    def announce(
        self, project_id: str, filename: str, *, size_bytes: int, digest: str
    ) -> Announced:
        """Open a way for one file; raises InvalidJob for a name that is no image's."""
        content_type = CONTENT_TYPES.get(PurePath(filename).suffix.lower())
        if content_type is None:
            message = f"must end with {', '.join(CONTENT_TYPES)}"
            raise InvalidJob([Fault(field="filename", code="bad_image", message=message)])
        if (known := find_asset(self.database, project_id, digest)) is not None:
            return Announced(asset_id=known, is_here=True)
        upload_id, ticket, now = new_id(), secrets.token_urlsafe(32), self.database.now()
        form = self.storage.upload_form(
            upload_key(project_id, upload_id),
            size=size_bytes,
            content_type=content_type,
            expires=LIFE,
        )
        row = {
            "id": upload_id,
            "project_id": project_id,
            "filename": filename,
            "sha256": digest,
            "content_type": content_type,
            "bytes": size_bytes,
            "ticket_sha256": hashed(ticket),
            "created_at": now,
        }
        with self.database.transaction() as db:
            db.execute(insert(UPLOAD), row)
        return Announced(
            asset_id=upload_id,
            url=form.url if form else None,
            fields=form.fields if form else {},
            content_type=content_type,
            ticket=ticket,
            expires_at=now + LIFE,
        )

    def admit(self, upload_id: str, ticket: str) -> Row[Any]:
        """The upload that this ticket is good for; raises NotFound, whatever is wrong with it."""
        with self.database.reading() as db:
            found = db.execute(select(UPLOAD).where(UPLOAD.c.id == upload_id)).one_or_none()
        is_good = found is not None and compare_digest(found.ticket_sha256, hashed(ticket))
        if not is_good or found is None or found.created_at < self.database.now() - LIFE:
            raise NotFound("there is no such upload, or its time is over")
        if found.asset_id is not None:
            raise NotFound("the file was uploaded already")
        return found

    def complete(self, project_id: str, upload_id: str) -> str:
        """Look at the file, and make it an asset; its id. The same again is harmless.

        Raises NotFound, NotUploaded, StorageError, and InvalidJob for another file than announced.
        """
        mine = select(UPLOAD).where(UPLOAD.c.id == upload_id, UPLOAD.c.project_id == project_id)
        with self.database.reading() as db:
            upload = db.execute(mine).one_or_none()
        if upload is None:
            raise NotFound(f"there is no upload {upload_id}")
        if upload.asset_id is not None:
            return str(upload.asset_id)
        key = upload_key(project_id, upload_id)
        lying = self.storage.head(key)
        if lying is None:
            raise NotUploaded
        with closing(cast(BinaryIO, tempfile.TemporaryFile())) as file:
            if lying.size == upload.bytes:
                with closing(self.storage.open(key)) as stored:
                    copyfileobj(stored, file, CHUNK_BYTES)
            try:
                asset_id = self.accept(upload, file)
            except InvalidJob:
                self.storage.delete(key)
                raise
        # Not before: where the bucket or the database fails, this is the caller's only copy.
        self.storage.delete(key)
        return asset_id

    def accept(self, upload: Row[Any], file: BinaryIO) -> str:
        """Make the announced file an asset; its id. Raises InvalidJob for another file."""
        check_file(upload, file)
        asset_id = add_image(
            self.database, self.storage, upload.project_id, file, asset_id=upload.id
        )
        with self.database.transaction() as db:
            done = update(UPLOAD).where(UPLOAD.c.id == upload.id).values(asset_id=asset_id)
            db.execute(done)
        return asset_id

    def forget(self) -> int:
        """Delete what was sent for a few old uploads; returns how many uploads that were.

        One that was never finished is forgotten. One that is an asset may have been sent again
        since, or its file could not be deleted then; its id stays good.
        """
        tickets = select(UPLOAD.c.id, UPLOAD.c.project_id).where(
            UPLOAD.c.created_at < self.database.now() - MEMORY,
            UPLOAD.c.ticket_sha256 != NO_TICKET,
        )
        with self.database.reading() as db:
            old = db.execute(tickets.limit(FEW)).all()
        for upload in old:
            self.storage.delete(upload_key(upload.project_id, upload.id))
        these = UPLOAD.c.id.in_([upload.id for upload in old])
        with self.database.transaction() as db:
            db.execute(delete(UPLOAD).where(these, UPLOAD.c.asset_id.is_(None)))
            db.execute(update(UPLOAD).where(these).values(ticket_sha256=NO_TICKET))
        return len(old)


def check_file(upload: Row[Any], file: BinaryIO) -> None:
    """Compare a file with its announcement; raises InvalidJob."""
    file.seek(0)
    if digest_of(file) != upload.sha256:
        message = "the file is not the one that was announced; send that one, or announce this one"
        raise InvalidJob([Fault(field="sha256", code="wrong_checksum", message=message)])
    file.seek(0)
    found = read_image_facts(file).content_type
    if found != upload.content_type:
        message = f"the name says {upload.content_type}, but the file is {found}"
        raise InvalidJob([Fault(field="filename", code="wrong_type", message=message)])


def hashed(ticket: str) -> str:
    """What is kept of a ticket."""
    return sha256(ticket.encode()).hexdigest()
