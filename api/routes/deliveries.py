"""`/v1/webhooks/.../deliveries`: what was told, and telling it again."""

from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.paging import Cursor, Limit, page
from api.parts import UsesParts
from api.paths import Id
from api.webhook_bodies import DeliveryAnswer, DeliveryPage, ReplayBody, Replayed
from jobs.keys import Scope
from jobs.webhooks import endpoints, journal
from jobs.webhooks.shown import delivery_public

router = router_for(Scope.ADMIN, "webhooks")


@router.post("/v1/webhooks/{webhook_id}/test", status_code=202, response_model=DeliveryAnswer)
def send_test(webhook_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Send a message of the type `test`; its delivery tells what became of it."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        found = endpoints.get(db, caller.project_id, webhook_id)
        delivery_id = journal.tell_test(db, found, now)
        shown = delivery_public(journal.get(db, caller.project_id, delivery_id))
    return JSONResponse(shown, 202)


@router.get("/v1/webhooks/{webhook_id}/deliveries", response_model=DeliveryPage)
def list_deliveries(
    webhook_id: Id, caller: Known, parts: UsesParts, cursor: Cursor = None, limit: Limit = 50
) -> JSONResponse:
    """What was told to an endpoint in the last 30 days, the newest first."""
    with parts.database.reading() as db:
        endpoints.get(db, caller.project_id, webhook_id)
        found = journal.log_of(db, webhook_id, before=cursor, limit=limit + 1)
    return page([delivery_public(row) for row in found], limit)


@router.post("/v1/webhooks/{webhook_id}/replay", response_model=Replayed)
def replay_failed(
    webhook_id: Id, body: ReplayBody, caller: Known, parts: UsesParts
) -> JSONResponse:
    """Tell again what was given up."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        found = endpoints.get(db, caller.project_id, webhook_id)
        replayed = journal.replay_failed(db, found, body.since, now)
    return JSONResponse({"replayed": replayed})


@router.get("/v1/webhooks/deliveries/{delivery_id}", response_model=DeliveryAnswer)
def get_delivery(delivery_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """One message, and what became of it."""
    with parts.database.reading() as db:
        return JSONResponse(delivery_public(journal.get(db, caller.project_id, delivery_id)))


@router.post(
    "/v1/webhooks/deliveries/{delivery_id}/replay", status_code=202, response_model=DeliveryAnswer
)
def replay_delivery(delivery_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Tell it again, under the same `webhook-id`."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        journal.replay(db, journal.get(db, caller.project_id, delivery_id), now)
        shown = delivery_public(journal.get(db, caller.project_id, delivery_id))
    return JSONResponse(shown, 202)
