"""Gives this process a decoder that dies of one picture; Python imports it before all else."""

import os
import signal
from typing import Any

from PIL import Image

DEADLY = (96, 96)

true_open = Image.open


def deadly_open(*args: Any, **kwargs: Any) -> Image.Image:
    """Open a picture, as a decoder with a hole in it does."""
    image = true_open(*args, **kwargs)
    if image.size == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return image


Image.open = deadly_open  # type: ignore[assignment]
