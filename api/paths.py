"""Parts of addresses."""

from typing import Annotated

from fastapi import Path
from starlette.convertors import StringConvertor, register_url_convertor


class NotSecret(StringConvertor):
    """An id where an address of its own stands too: it is not taken for an id by other methods."""

    regex = "(?!secret$)[^/]+"


register_url_convertor("not_secret", NotSecret())

#: As `new_id` makes them; anything else cannot be there.
Id = Annotated[str, Path(pattern="^[0-9a-z]{26}$", examples=["01jd3zq8m4v6x0f5y2k7c9r1hb"])]
