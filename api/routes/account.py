"""`/v1/usage` and `/v1/balance`: what the project has spent, and what is left."""

from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.answers import Balance, Usage
from api.parts import UsesParts
from jobs import figures, tallies
from jobs.keys import Scope
from jobs.public import credential_public, credits_of

router = router_for(Scope.READ, "account")


@router.get("/v1/usage", response_model=Usage)
def get_usage(caller: Known, parts: UsesParts) -> JSONResponse:
    """The project's jobs by state, and the credits they cost."""
    with parts.database.reading() as db:
        counts = tallies.counts(db, project_id=caller.project_id)
    return JSONResponse(
        {
            "project": caller.project_id,
            "jobs": {str(state): number for state, number in counts.by_state.items()},
            "credits": {"spent": credits_of(counts.charged_milli)},
        }
    )


@router.get("/v1/balance", response_model=Balance)
def get_balance(parts: UsesParts) -> JSONResponse:
    """The credentials that pay, and the credits they had when they were last asked."""
    with parts.database.reading() as db:
        rows = figures.credentials(db)
    known = [row.balance_milli for row in rows if row.balance_milli is not None]
    total = credits_of(sum(known)) if known else None
    return JSONResponse({"credits": total, "credentials": [credential_public(row) for row in rows]})
