"""The jobs that experiments submit: small pictures, each with a prompt of its own."""

import base64
import io
from functools import cache
from typing import Any, Literal

from PIL import Image

from jobs.queue.intake import NewJob

#: A call that is answered with the bytes, one that is answered with an id, or both in turn.
Kind = Literal["sync", "async", "mixed"]

SYNC = "generate/core"
CUTOUT = "edit/remove-background"
ASYNC = "edit/replace-background-and-relight"


def order(number: int, kind: Kind, **fields: Any) -> NewJob:
    """The job of this number."""
    if kind == "async" or (kind == "mixed" and number % 2):
        return NewJob(
            operation=ASYNC,
            params={"background_prompt": f"background {number}"},
            inputs={"subject_image": picture(64)},
            row=number,
            **fields,
        )
    if number % 8 == 0:
        params = {"prompt": f"picture {number}"}
        return NewJob(operation=SYNC, params=params, row=number, **fields)
    return cutout(number, 64, **fields)


def cutout(number: int, side: int, **fields: Any) -> NewJob:
    """A cheap synchronous job, whose output is as large as its input."""
    return NewJob(
        operation=CUTOUT, params={}, inputs={"image": picture(side)}, row=number, **fields
    )


@cache
def picture(side: int) -> str:
    """A square as a `data:` address."""
    target = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(target, "PNG")
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()
