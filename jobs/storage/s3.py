"""A bucket of S3, or of anything that speaks its language; the only user of boto3."""

import base64
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
)
from urllib3.exceptions import HTTPError

from jobs.durable import CHUNK_BYTES
from jobs.errors import ObjectMissing, SettingsError, StorageError
from jobs.storage.keys import check_key
from jobs.storage.probe import probe
from jobs.storage.protocol import StoredObject, UploadForm

#: S3: a presigned address lives seven days at the most.
LONGEST_URL = timedelta(days=7)
CONNECT_SECONDS = 5
READ_SECONDS = 60
#: The first try and three more, with botocore's own jittered delays in between.
TRIES = 4

#: The last two only happen while an answer's body is read.
FAILURES = (BotoCoreError, ClientError, HTTPError, OSError)

#: Metadata travels in headers, which lose blanks: visible ASCII goes as it is, the rest encoded.
PLAIN = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) != "%")


class S3Storage:
    """One bucket, and the part of it below `prefix`; one client serves all threads."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint_url: str | None = None,
        connections: int = 10,
    ) -> None:
        self.bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._server = urlsplit(endpoint_url).netloc.rpartition("@")[2] if endpoint_url else "S3"
        self._client = connect(endpoint_url, connections=connections)

    def put(
        self,
        key: str,
        source: BinaryIO,
        *,
        size: int,
        content_type: str,
        sha256: str,
        metadata: Mapping[str, str],
        is_final: bool = False,
    ) -> None:
        """Send the bytes with their checksum, which the server compares before it keeps them."""
        # A server would wait in vain for bytes that were announced and do not come.
        if source.seek(0, io.SEEK_END) != size:
            raise StorageError(f"The bytes for {key} are not those that were announced.")
        source.seek(0)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        place = self._place(key)
        with self._errors("write to"):
            answer = self._client.put_object(
                **place,
                Body=source,
                ContentLength=size,
                ContentType=content_type,
                ChecksumSHA256=checksum,
                Metadata=encoded(metadata) | {"sha256": sha256},
            )
        # A server that does not know checksums says nothing of them: then reading is the proof.
        if answer.get("ChecksumSHA256") != checksum and self._digest(key) != (sha256, size):
            self.delete(key)
            raise StorageError(f"The bucket {self.bucket} stored other bytes than were sent.")

    def head(self, key: str) -> StoredObject | None:
        """Ask for the object's headers; one that somebody else put there is hashed."""
        place = self._place(key)
        with self._errors("look into"):
            try:
                answer = self._client.head_object(**place)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        metadata = decoded(answer["Metadata"])
        return StoredObject(
            key=key,
            size=answer["ContentLength"],
            sha256=metadata.pop("sha256", "") or self._digest(key)[0],
            content_type=answer["ContentType"],
            metadata=metadata,
        )

    def open(self, key: str) -> BinaryIO:
        """Read from the connection, as far as is asked for."""
        place = self._place(key)
        with self._errors("read from"):
            try:
                answer = self._client.get_object(**place)
            except self._client.exceptions.NoSuchKey as error:
                raise ObjectMissing(f"The bucket does not hold {key}.") from error
        return io.BufferedReader(
            Body(answer["Body"], lambda: self._errors("read from")), CHUNK_BYTES
        )

    def list(self, prefix: str) -> Iterator[str]:
        """List page by page."""
        pages = self._client.get_paginator("list_objects_v2")
        with self._errors("list"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix)

    def delete(self, key: str) -> None:
        """Delete the object."""
        place = self._place(key)
        with self._errors("delete from"):
            self._client.delete_object(**place)

    def url(self, key: str, expires: timedelta) -> str | None:
        """Sign an address; nothing is sent for it."""
        with self._errors("sign an address for"):
            address: str = self._client.generate_presigned_url(
                "get_object",
                Params=self._place(key),
                ExpiresIn=int(min(expires, LONGEST_URL).total_seconds()),
            )
        return address

    def upload_form(
        self, key: str, *, size: int, content_type: str, expires: timedelta
    ) -> UploadForm | None:
        """Sign a form; the server holds its sender to the key, the size and the type."""
        place = self._place(key)
        with self._errors("sign an upload to"):
            signed = self._client.generate_presigned_post(
                **place,
                Fields={"Content-Type": content_type},
                Conditions=[{"Content-Type": content_type}, ["content-length-range", size, size]],
                ExpiresIn=int(expires.total_seconds()),
            )
        return UploadForm(url=signed["url"], fields=signed["fields"])

    def clean(self, older_than: timedelta) -> None:
        """S3 keeps nothing that did not come whole."""

    def check(self) -> None:
        """Write, read and delete a probe."""
        probe(self)

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._prefix + check_key(key)}

    def _digest(self, key: str) -> tuple[str, int]:
        """The sha256 and size of what is really there."""
        digest, size = hashlib.sha256(), 0
        with self.open(key) as stored:
            while chunk := stored.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        return digest.hexdigest(), size

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise StorageError(self._sentence(verb, error)) from error

    def _sentence(self, verb: str, error: Exception) -> str:
        """Say what failed by the error's kind: its own text may hold an address or a key id."""
        failed = f"Could not {verb} the bucket {self.bucket}"
        match error:
            case NoCredentialsError():
                return f"{failed}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            case EndpointConnectionError():
                return f"{failed}: {self._server} does not answer."
            case ClientError():
                return f"{failed}: {self._server} answered {error.response['Error']['Code']}."
        return f"{failed}: {type(error).__name__}."


def connect(endpoint_url: str | None, *, connections: int = 10) -> Any:
    """A client with the credentials of the environment; nothing is sent. Raises SettingsError."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=connections,
        signature_version="s3v4",
        # Servers of other makers seldom have a host name for each bucket.
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    try:
        return boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=config)
    except ValueError as error:
        raise SettingsError("S3_ENDPOINT_URL is no address of a server") from error
    except FAILURES as error:
        raise SettingsError(f"the AWS settings make no sense: {type(error).__name__}") from error


class Body(io.RawIOBase):
    """An object's bytes as they arrive, read as a file is."""

    def __init__(self, stream: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._stream = stream
        self._errors = errors

    def readable(self) -> bool:
        """It can be read, and nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next."""
        with self._errors():
            chunk = self._stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Give the connection up."""
        self._stream.close()
        super().close()


def encoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it may stand in headers."""
    return {name: quote(value, safe=PLAIN) for name, value in metadata.items()}


def decoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it was before `encoded`."""
    return {name: unquote(value) for name, value in metadata.items()}
