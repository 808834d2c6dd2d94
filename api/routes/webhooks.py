"""`/v1/webhooks`: who is told of jobs, and what signs it."""

from typing import Any

from starlette.responses import JSONResponse, Response

from api.access import Known, router_for
from api.paging import Cursor, Limit, page
from api.parts import Parts, UsesParts
from api.paths import Id
from api.problems import InvalidRequest
from api.webhook_bodies import (
    WebhookAnswer,
    WebhookBody,
    WebhookChange,
    WebhookPage,
    WebhookSecretAnswer,
    WebhookWithSecret,
)
from jobs.errors import Fault
from jobs.keys import Scope
from jobs.public import when
from jobs.webhooks import endpoints, seals
from jobs.webhooks.secrets import Seal
from jobs.webhooks.shown import webhook_public

router = router_for(Scope.ADMIN, "webhooks")


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
            mark=parts.signer.mark,
            events=body.events,
            description=body.description,
        )
        found = endpoints.get(db, caller.project_id, endpoint_id)
    secret = parts.signer.secret(endpoint_id, found.generation)
    headers = {"location": f"/v1/webhooks/{endpoint_id}"}
    return JSONResponse(webhook_public(found) | {"secret": secret}, 201, headers)


@router.get("/v1/webhooks", response_model=WebhookPage)
def list_webhooks(
    caller: Known,
    parts: UsesParts,
    named_only: bool | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> JSONResponse:
    """The newest endpoints; `named_only` tells those that jobs and batches named from the rest."""
    with parts.database.reading() as db:
        found = endpoints.list_endpoints(
            db, caller.project_id, is_named=named_only, before=cursor, limit=limit + 1
        )
    return page([webhook_public(row) for row in found], limit)


@router.get("/v1/webhooks/secret", response_model=WebhookSecretAnswer)
def show_project_secret(caller: Known, parts: UsesParts) -> JSONResponse:
    """What signs the messages to each `webhook_url` of a job or a batch."""
    with parts.database.transaction() as db:
        seal = seals.show_project(db, caller.project_id, parts.signer)
    return project_secret(parts, seal)


@router.post("/v1/webhooks/secret/rotate", response_model=WebhookSecretAnswer)
def rotate_project_secret(caller: Known, parts: UsesParts) -> JSONResponse:
    """A new one; for a day messages carry the signatures of both."""
    now = parts.database.now()
    with parts.database.transaction() as db:
        seal = seals.rotate_project(db, caller.project_id, parts.signer, now)
    return project_secret(parts, seal)


@router.get("/v1/webhooks/{webhook_id:not_secret}", response_model=WebhookAnswer)
def get_webhook(webhook_id: Id, caller: Known, parts: UsesParts) -> JSONResponse:
    """One endpoint."""
    return JSONResponse(look(parts, caller.project_id, webhook_id))


@router.patch("/v1/webhooks/{webhook_id:not_secret}", response_model=WebhookAnswer)
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
            endpoints.disable(db, webhook_id, endpoints.BY_HAND, now)
    return JSONResponse(look(parts, caller.project_id, webhook_id))


@router.delete("/v1/webhooks/{webhook_id:not_secret}", status_code=204, response_class=Response)
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
        seals.rotate(db, found, parts.signer, now)
        found = endpoints.get(db, caller.project_id, webhook_id)
    secret = parts.signer.secret(webhook_id, found.generation)
    return JSONResponse(webhook_public(found) | {"secret": secret})


def look(parts: Parts, project_id: str, webhook_id: str) -> dict[str, Any]:
    """An endpoint as it is now; raises NotFound."""
    with parts.database.reading() as db:
        return webhook_public(endpoints.get(db, project_id, webhook_id))


def project_secret(parts: Parts, seal: Seal) -> JSONResponse:
    """The secret of a seal that was made here."""
    secret = parts.signer.secret(seal.owner, seal.generation)
    return JSONResponse({"secret": secret, "rotated_at": when(seal.rotated_at)})
