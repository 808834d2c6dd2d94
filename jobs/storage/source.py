"""Buckets of others, from which inputs are read."""

from typing import Any, BinaryIO

from botocore.exceptions import ClientError

from jobs.durable import CHUNK_BYTES
from jobs.errors import DownloadRefused, SettingsError, Unreachable
from jobs.storage.s3 import FAILURES, connect

#: What S3 answers when asking again would change nothing.
FINAL = frozenset({"NoSuchKey", "NoSuchBucket", "AccessDenied", "InvalidObjectState", "403", "404"})


class SourceBuckets:
    """Reads from buckets with the credentials of this process; safe to share between threads."""

    def __init__(self, *, endpoint_url: str | None = None) -> None:
        self._endpoint_url = endpoint_url
        self._client: Any = None

    def read(self, bucket: str, key: str, target: BinaryIO, *, most_bytes: int) -> None:
        """Write an object to `target`. Raises DownloadRefused and Unreachable."""
        try:
            answer = self._connected().get_object(Bucket=bucket, Key=key)
            with answer["Body"] as body:
                size = answer["ContentLength"]
                if size > most_bytes:
                    raise DownloadRefused(f"it has more than {most_bytes // 1024**2} MiB")
                while chunk := body.read(CHUNK_BYTES):
                    target.write(chunk)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            kind = DownloadRefused if code in FINAL else Unreachable
            raise kind(f"the bucket {bucket} answered {code}") from error
        except (*FAILURES, SettingsError) as error:
            raise Unreachable(f"the bucket {bucket} could not be read") from error

    def _connected(self) -> Any:
        # Connecting imports and reads much; two that do it at once do no harm.
        if self._client is None:
            self._client = connect(self._endpoint_url)
        return self._client
