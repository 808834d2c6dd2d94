"""The sandbox's own addresses, for tests: ledger, faults, credits."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jobs.catalog.operation import MILLI
from jobs.errors import SettingsError
from jobs.stability.sandbox.faults import FaultRule, read_rule
from jobs.stability.sandbox.ledger import Account
from jobs.stability.sandbox.stage import Stage


class Control:
    """Serves everything below `/_sandbox/`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/_sandbox/ledger", self.show_ledger),
            Route("/_sandbox/ledger", self.empty_ledger, methods=["DELETE"]),
            Route("/_sandbox/faults", self.show_faults),
            Route("/_sandbox/faults", self.replace_faults, methods=["POST"]),
            Route("/_sandbox/credits", self.add_credits, methods=["POST"]),
        ]

    async def show_ledger(self, request: Request) -> Response:
        """The ledger; `?brief=1` leaves out the lists of charges and polls."""
        brief = "brief" in request.query_params
        return JSONResponse(self._stage.books.report(brief=brief))

    async def empty_ledger(self, request: Request) -> Response:
        """Start all counts again; balances and results stay."""
        self._stage.books.forget()
        return Response(status_code=204)

    async def show_faults(self, request: Request) -> Response:
        """The faults in force, in the form that POST takes."""
        return JSONResponse(dict(map(as_item, self._stage.faults.rules)))

    async def replace_faults(self, request: Request) -> Response:
        """Take `{"NAME": P, "NAME@OPERATION": "PxTIMES", ...}` in place of the faults in force."""
        try:
            rules = [from_item(*item) for item in (await request.json()).items()]
        except (SettingsError, ValueError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        self._stage.faults.replace(rules)
        return JSONResponse(dict(map(as_item, rules)))

    async def add_credits(self, request: Request) -> Response:
        """Add `credits` to the key named by `key` or `key_index`; answers with its balance."""
        try:
            order = await request.json()
            account, credits_milli = self._account(order), round(float(order["credits"]) * MILLI)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
        if account is None:
            return JSONResponse({"error": "there is no key with this index"}, 404)
        self._stage.books.top_up(account, credits_milli)
        return JSONResponse({"credits": account.balance_milli / MILLI})

    def _account(self, order: dict[str, Any]) -> Account | None:
        if "key" in order:
            return self._stage.books.account(str(order["key"]))
        return self._stage.books.account_at(int(order["key_index"]))


def as_item(rule: FaultRule) -> tuple[str, float | str]:
    """A rule as JSON's name and value."""
    name = f"{rule.name}@{rule.operation}" if rule.operation else rule.name
    return name, rule.probability if rule.times is None else f"{rule.probability}x{rule.times}"


def from_item(name: str, value: object) -> FaultRule:
    """The rule that JSON's name and value stand for."""
    name, at, operation = name.partition("@")
    return read_rule(f"{name}={value}{at}{operation}")
