"""What the columns of a dataset are called, and how a parameter keeps out of their way."""

from jobs.dataset.shape import plain_name

#: The file itself, by the kind of its content type.
MEDIA = {"image": "image", "video": "video", "model": "mesh"}
#: Of a kind that is not known here.
OTHER = "file"

#: Parameters that are too different to be columns share this one, as JSON.
TOGETHER = "params"

#: A parameter of this name would clash with one of these.
TAKEN = frozenset({*MEDIA.values(), OTHER, TOGETHER, "file_name"})


def free_name(name: str) -> str:
    """The column of a parameter."""
    return f"{name}_" if name in TAKEN else plain_name(name)
