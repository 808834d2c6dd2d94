"""v1's addresses about the caller: balance, account, engines."""

from pydantic import BaseModel
from starlette.responses import JSONResponse

from api.access import Known, router_for
from api.parts import UsesParts
from api.stability.described import refusals_of
from api.stability.shape import PREFIX
from jobs.catalog.engines import engines_public
from jobs.errors import PartUnavailable
from jobs.keys import Scope
from jobs.public import credits_of

router = router_for(Scope.READ, "stability", refusals=refusals_of("/v1/user"))


class Funds(BaseModel):
    """What is left to spend."""

    credits: float


class Organization(BaseModel):
    """A project, as v1 has it."""

    id: str
    name: str
    role: str
    is_default: bool


class Account(BaseModel):
    """A key, as v1 has it."""

    id: str
    email: str
    organizations: list[Organization]


class Engine(BaseModel):
    """One engine of v1."""

    id: str
    name: str
    description: str
    type: str


@router.get(f"{PREFIX}/v1/user/balance", response_model=Funds)
def get_balance(parts: UsesParts) -> JSONResponse:
    """The credits of all credentials together, a minute old at the most."""
    total = parts.balances.total()
    if total is None:
        raise PartUnavailable("Stability has not told the balance yet.")
    return JSONResponse({"credits": credits_of(total)})


@router.get(f"{PREFIX}/v1/user/account", response_model=Account)
def get_account(caller: Known) -> JSONResponse:
    """The key as a user, whose one organization is the project."""
    project = caller.project_id
    is_admin = Scope.ADMIN in caller.scopes
    organization = {
        "id": f"org-{project}",
        "name": project,
        "role": "ADMIN" if is_admin else "MEMBER",
        "is_default": True,
    }
    return JSONResponse(
        {
            "id": f"user-{caller.key_id}",
            # The form asks for an address; this top-level name can have none (RFC 2606).
            "email": f"{caller.key_id}@darkroom.invalid",
            "organizations": [organization],
        }
    )


@router.get(f"{PREFIX}/v1/engines/list", response_model=list[Engine])
def list_engines() -> JSONResponse:
    """The engines of v1."""
    return JSONResponse(engines_public())
