"""Where an object lies in the bucket: pure rules, the same for every storage."""

import re

#: S3: a key has at most 1,024 bytes in UTF-8.
MAX_KEY_BYTES = 1024
#: Most file systems: a name has at most 255 bytes; the folder adds a suffix of its own.
MAX_NAME_BYTES = 240

#: No name is empty, is hidden, or leads up; nothing that a shell, an address or S3 must escape.
NAME = re.compile(r"[A-Za-z0-9_=+@,-][A-Za-z0-9._=+@,-]*")

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/heif": "heif",
    "video/mp4": "mp4",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/mp4": "m4a",
    "model/gltf-binary": "glb",
    "application/json": "json",
    "application/zip": "zip",
    "text/plain": "txt",
}


def output_key(project: str, job_id: str, attempt: int, index: int, extension: str) -> str:
    """The key of an output: the same attempt always writes to the same place."""
    return f"{attempt_prefix(project, job_id, attempt)}{index}.{extension}"


def attempt_prefix(project: str, job_id: str, attempt: int) -> str:
    """What the keys of all outputs of an attempt begin with.

    A job id is a ULID, whose characters are time: four of them change every 12 days, the next
    two every 17 minutes. So no folder grows without bound, neighbours in time lie together, and no
    job needs a folder of its own, which would cost as much as a small picture.
    """
    return f"{project}/{job_id[:4]}/{job_id[4:6]}/{job_id}-{attempt}-"


def asset_key(project: str, sha256: str, extension: str) -> str:
    """The key of an asset: the same bytes are kept once for each project."""
    return f"{project}/assets/{sha256[:2]}/{sha256}.{extension}"


def upload_key(project: str, upload_id: str) -> str:
    """Where an announced file lies until it was looked at."""
    return f"{project}/uploads/{upload_id}"


def extension_of(content_type: str) -> str:
    """The usual ending of a file of this type, `bin` for an unknown one."""
    return EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), "bin")


def check_key(key: str) -> str:
    """Return the key; raises ValueError for one that could leave the bucket or hide in it."""
    names = key.split("/")
    if len(key.encode()) > MAX_KEY_BYTES or not all(map(is_name, names)):
        raise ValueError(f"not a key: {key[:100]!r}")
    return key


def is_name(name: str) -> bool:
    """Whether this may stand between two slashes of a key."""
    return len(name) <= MAX_NAME_BYTES and NAME.fullmatch(name) is not None
