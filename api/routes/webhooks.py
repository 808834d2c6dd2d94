"""`/v1/webhooks`: who is told of jobs, what was told, and telling it again."""

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import JSONResponse, Response

from api.access import Known, router_for
from api.parts import Parts, UsesParts
from api.paths import Id
from api.problems import InvalidRequest
from api.webhook_bodies import (
    DeliveryAnswer,
    DeliveryPage,
    ReplayBody,
    Replayed,
    WebhookAnswer,
    WebhookBody,
    WebhookChange,
    WebhookPage,
    WebhookWithSecret,
    delivery_public,
    webhook_public,
)
from jobs.errors import Fault
from jobs.keys import Scope
from jobs.webhooks import deliveries, endpoints

router = router_for(Scope.ADMIN, "webhooks")

Cursor = Annotated[str | None, Query(pattern="^[0-9a-z]{26}$")]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.post("/v1/webhooks", status_code=201, response_model=WebhookWithSecret)
def create_webhook(body: WebhookBody, caller: Known, parts: UsesParts) -> JSONResponse:
    """Tell an address of the project's jobs. Its secret signs every message."""
    if faults := parts.policy.webhook_faults(body.url):
        raise InvalidRequest(
            [Fault(field="url", code=fault.code, message=fault.message) for fault in faults]
        )
    now = parts.database.now()
    with parts.database.transaction() as db:
        endpoint_id = endpoints.create(
            db,
            caller.project_id,
            body.url,
            now,
            events=body.events,
            description=body.description,
        )
        found = endpoints.get(db, caller.project_id, endpoint_id)
    secret = parts.signer.secret(endpoint_id, found.generation)
    headers = {"location": f"/v1/webhooks/{endpoint_id}"}
    return JSONResponse(webhook_public(found) | {"secret": secret}, 201, headers)


@router.get("/v1/webhooks", response_model=WebhookPage)
def list_webhooks(
    caller: Known, parts: UsesParts, cursor: Cursor = None, limit: Limit = 50
) -> JSONResponse:
    """The newest endpoints, those that jobs named included."""
    with parts.database.reading() as db:
        found = endpoints.list_endpoints(db, caller.project_id, before=cursor, limit=limit + 1)
    return page([webhook_public(row) for row in found], limit)


@router.get("/v1/webhooks/{webhook_id}", response_model=WebhookAnswer)
def get_webhook(webhook_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """One endpoint."""
    return JSONResponse(look(parts, caller.project_id, webhook_id))


@router.patch("/v1/webhooks/{webhook_id}", response_model=WebhookAnswer)
def change_webhook(
    webhook_id: Id, body: WebhookChange, caller: Known, parts: UsesParts
) -> JSONResponse:
    """Change what it hears of; `enabled` pauses it, and begins again with what comes then."""
    now = parts.database.now()
    values = body.model_dump(include={"events", "description"}, exclude_none=True)
    with parts.database.transaction() as db:
        endpoints.get(db, caller.project_id, webhook_id)
        endpoints.change(db, webhook_id, **values)
        if body.enabled is True:
            endpoints.enable(db, webhook_id)
        elif body.enabled is False:
            endpoints.disable(db, webhook_id, "by hand", now)
    return JSONResponse(look(parts, caller.project_id, webhook_id))


@router.delete("/v1/webhooks/{webhook_id}", status_code=204, response_class=Response)
def delete_webhook(webhook_id: Id, caller: Known, parts: UsesParts) -> Response:
    """Forget an endpoint and its log."""
    with parts.database.transaction() as db:
        endpoints.get(db, caller.project_id, webhook_id)
        endpoints.remove(db, webhook_id)
    return Response(status_code=204)


@router.post("/v1/webhooks/{webhook_id}/rotate", response_model=WebhookWithSecret)
def rotate_secret(webhook_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """A new secret; for a day messages carry the signatures of both."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        found = endpoints.get(db, caller.project_id, webhook_id)
        generation = endpoints.rotate(db, found, now)
    shown = look(parts, caller.project_id, webhook_id)
    return JSONResponse(shown | {"secret": parts.signer.secret(webhook_id, generation)})


@router.post("/v1/webhooks/{webhook_id}/test", status_code=202, response_model=DeliveryAnswer)
def send_test(webhook_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Send a message of the type `test`; its delivery tells what became of it."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        found = endpoints.get(db, caller.project_id, webhook_id)
        delivery_id = deliveries.tell_test(db, found, now)
        shown = delivery_public(deliveries.get(db, caller.project_id, delivery_id))
    return JSONResponse(shown, 202)


@router.get("/v1/webhooks/{webhook_id}/deliveries", response_model=DeliveryPage)
def list_deliveries(
    webhook_id: Id, caller: Known, parts: UsesParts, cursor: Cursor = None, limit: Limit = 50
) -> JSONResponse:
    """What was told to an endpoint in the last 30 days, the newest first."""
    with parts.database.reading() as db:
        endpoints.get(db, caller.project_id, webhook_id)
        found = deliveries.log_of(db, webhook_id, before=cursor, limit=limit + 1)
    return page([delivery_public(row) for row in found], limit)


@router.post("/v1/webhooks/{webhook_id}/replay", response_model=Replayed)
def replay_failed(
    webhook_id: Id, body: ReplayBody, caller: Known, parts: UsesParts
) -> JSONResponse:
    """Tell again what was given up."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        endpoints.get(db, caller.project_id, webhook_id)
        replayed = deliveries.replay_failed(db, webhook_id, body.since, now)
    return JSONResponse({"replayed": replayed})


@router.post("/v1/deliveries/{delivery_id}/replay", status_code=202, response_model=DeliveryAnswer)
def replay_delivery(delivery_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """Tell it again, under the same `webhook-id`."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        deliveries.get(db, caller.project_id, delivery_id)
        deliveries.replay(db, delivery_id, now)
        shown = delivery_public(deliveries.get(db, caller.project_id, delivery_id))
    return JSONResponse(shown, 202)


def look(parts: Parts, project_id: str, webhook_id: str) -> dict[str, Any]:
    """An endpoint as it is now; raises NotFound."""
    with parts.database.reading() as db:
        return webhook_public(endpoints.get(db, project_id, webhook_id))


def page(items: list[dict[str, Any]], limit: int) -> JSONResponse:
    """So many items, and where the next ones begin."""
    more = len(items) > limit
    return JSONResponse(
        {"items": items[:limit], "next_cursor": items[limit - 1]["id"] if more else None}
    )
