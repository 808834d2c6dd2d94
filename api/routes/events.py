"""`/v1/events`: what happens to the project's jobs, as it happens."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Header, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import WithJsonSchema
from sqlalchemy import Row
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.access import Known, router_for
from api.bulletin import Listener
from api.parts import Parts, UsesParts
from jobs.batches import get_batch
from jobs.feed import PAGE, replay
from jobs.keys import Scope
from jobs.public import event_public

router = router_for(Scope.READ, "events")

#: Between two signs of life, so that nobody on the way hangs up.
PING_SECONDS = 15
#: When the process ends a stream ends by itself, with its last chunk, or is cut off after this.
CLOSING_SECONDS = 5

BatchId = Annotated[
    str | None,
    Query(pattern="^[0-9a-z]{26}$", description="Only what happens to this batch's jobs."),
]
LastEventId = Annotated[
    int | None,
    Header(ge=0, lt=2**63, description="The last event that you know."),
    # It is left out or a number; a header cannot be null.
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**63 - 1}),
]


@router.get(
    "/v1/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def listen(
    caller: Known, parts: UsesParts, batch: BatchId = None, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """Server-sent events: `id` is their number, `event` the verb, `data` the change. With
    `Last-Event-ID` those that were missed come first. A listener who is too slow is cut off."""
    # Whoever listens holds no thread: that is why this handler is asynchronous.
    if batch is not None:
        await run_in_threadpool(check_batch, parts, caller.project_id, batch)
    return EventSourceResponse(
        events(parts, caller.project_id, batch, last_event_id),
        ping=PING_SECONDS,
        shutdown_grace_period=CLOSING_SECONDS,
    )


def check_batch(parts: Parts, project_id: str, batch_id: str) -> None:
    """Raise NotFound for a batch of which nothing would ever be heard."""
    with parts.database.reading() as db:
        get_batch(db, project_id, batch_id)


async def events(
    parts: Parts, project_id: str, batch_id: str | None, last: int | None
) -> AsyncIterator[ServerSentEvent]:
    """What was missed, and then what happens."""
    with parts.bulletin.listening(project_id, batch_id) as listener:
        until = await parts.bulletin.place()
        # Tells the caller that from here on nothing is missed.
        yield ServerSentEvent(comment="listening")
        if last is not None and until is not None:
            async for event in missed(parts, project_id, batch_id, last, until):
                yield event
        async for event in heard(listener):
            yield event


async def missed(
    parts: Parts, project_id: str, batch_id: str | None, after: int, until: int
) -> AsyncIterator[ServerSentEvent]:
    """What was told before the caller listened, a page at a time."""

    def read(place: int) -> list[Row[Any]]:
        with parts.database.reading() as db:
            return replay(db, project_id, batch_id, after=place, until=until)

    while page := await run_in_threadpool(read, after):
        for row in page:
            yield sent(row)
        after = page[-1].id
        if len(page) < PAGE:
            return


async def heard(listener: Listener) -> AsyncIterator[ServerSentEvent]:
    """What happens from now on, until the end."""
    while (row := await listener.heard.get()) is not None:
        yield sent(row)


def sent(row: Row[Any]) -> ServerSentEvent:
    """An event on the wire."""
    return ServerSentEvent(json.dumps(event_public(row)), id=str(row.id), event=row.verb)
