"""What the columns of a dataset are called, and how a parameter keeps out of their way."""

from jobs.dataset.shape import Shape, plain_name

#: What every record has.
FIXED: dict[str, Shape] = {
    "operation": "string",
    "name": "string",
    "row": "int64",
    "job_id": "string",
    "seed": "int64",
    "finish_reason": "string",
    "credits": "float64",
    "sha256": "string",
    "width": "int64",
    "height": "int64",
}

#: The file itself, by the kind of its content type.
MEDIA = {"image": "image", "video": "video", "model": "mesh"}
#: Of a kind that is not known here.
OTHER = "file"

#: Parameters that are too different to be columns share this one, as JSON.
TOGETHER = "params"

#: What was asked of these is answered by what came, under the same name.
ANSWERED = frozenset({"seed", "width", "height", "credits"})

#: A parameter of this name would clash with another column.
TAKEN = frozenset({*MEDIA.values(), OTHER, TOGETHER, "inputs", "metadata", *FIXED}) - ANSWERED


def free_name(name: str) -> str:
    """The column of a parameter."""
    return distinct(plain_name(name))


def distinct(name: str) -> str:
    """A plain name, changed where another column has it.

    Names that end like a changed one are changed too, so that no two of them become one.
    """
    return f"{name}_" if name.rstrip("_") in TAKEN else name
