"""Pages of lists whose items are sorted by their ids."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import JSONResponse

Cursor = Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")]
Limit = Annotated[int, Query(ge=1, le=100)]


def page(items: list[dict[str, Any]], limit: int) -> JSONResponse:
    """So many items, and where the next ones begin; `items` has one more if there are more."""
    more = len(items) > limit
    return JSONResponse(
        {"items": items[:limit], "next_cursor": items[limit - 1]["id"] if more else None}
    )
