"""What an `accept` header asks for: the media itself, or JSON around it."""

from jobs.catalog.operation import Operation

#: The values that ask for an operation's media itself.
MEDIA_RANGES = {
    "image": ("image/", "*/*"),
    "video": ("video/", "*/*"),
    "model": ("model/", "*/*"),
    "any": ("application/json", "*/*"),
}

#: Media that may come as base64 in JSON.
ENVELOPED = frozenset({"image", "video"})


class NotAcceptable(Exception):
    """The header asks for what this operation does not make."""


def wants_json(operation: Operation, accept: str) -> bool:
    """Whether the caller wants JSON and not the bytes; raises NotAcceptable."""
    ranges = [part.strip() for part in accept.lower().split(",") if part.strip()]
    if operation.is_v1:
        return not any(part.startswith("image/") for part in ranges)
    for part in ranges:
        if part.startswith("application/json") and operation.media in ENVELOPED:
            return True
        if part.startswith(MEDIA_RANGES[operation.media]):
            return False
    if ranges:
        raise NotAcceptable
    return False


def acceptable(operation: Operation) -> str:
    """What the header may ask for, in words."""
    return f"must be one of {operation.media}/*, application/json"
