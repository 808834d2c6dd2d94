"""`/v1/operations` and `/v1/estimate`: what can be asked for, and what it costs."""

from collections import Counter
from typing import Any

from starlette.responses import JSONResponse

from api.access import router_for
from api.answers import Estimate, OperationAnswer, OperationList
from api.bodies import EstimateBody
from api.parts import UsesParts
from jobs.catalog.json_schema import inputs_schema, params_schema
from jobs.catalog.loader import catalog
from jobs.catalog.operation import Operation
from jobs.errors import NotFound
from jobs.estimates import expected_seconds
from jobs.keys import Scope
from jobs.public import credits_of

router = router_for(Scope.READ, "catalog")


@router.get("/v1/operations", response_model=OperationList)
def list_operations() -> JSONResponse:
    """Every operation with its parameters as JSON Schema."""
    return JSONResponse({"items": [public(operation) for operation in catalog().values()]})


@router.get("/v1/operations/{name:path}", response_model=OperationAnswer)
def get_operation(name: str) -> JSONResponse:
    """One operation."""
    found = catalog().get(name)
    if found is None:
        raise NotFound("there is no such operation")
    return JSONResponse(public(found))


@router.post("/v1/estimate", response_model=Estimate)
def estimate(body: EstimateBody, parts: UsesParts) -> JSONResponse:
    """What jobs would cost, and how long they would take if nothing else ran."""
    by_operation = Counter(job.operation for job in body.jobs)
    milli = sum(catalog()[job.operation].price_of(job.params) for job in body.jobs)
    return JSONResponse(
        {
            "jobs": len(body.jobs),
            "credits": credits_of(milli),
            "seconds": round(expected_seconds(parts.settings, by_operation), 1),
            "by_operation": dict(by_operation),
        }
    )


def public(operation: Operation) -> dict[str, Any]:
    """The public form of an operation."""
    price = operation.price
    is_open = price.per_step or price.stated_by is not None
    prices = [price.flat or 0] if price.table is None else list(price.table.values())
    return {
        "name": operation.name,
        "title": operation.title,
        "mode": operation.mode,
        "media": operation.media,
        "legacy": operation.legacy,
        "credits": {
            "least": credits_of(min(prices)),
            "most": None if is_open else credits_of(max(prices)),
        },
        "params": params_schema(operation),
        "inputs": inputs_schema(operation),
        "rules": [tie.message for tie in operation.ties],
    }
