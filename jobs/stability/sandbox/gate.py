"""The first thing a request meets: whose key is it, and is there room in its window?"""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.stability.parsing import BadBody
from jobs.stability.sandbox.ledger import Account
from jobs.stability.sandbox.problems import problem
from jobs.stability.sandbox.protocol import wire_of
from jobs.stability.sandbox.stage import Stage
from jobs.stability.sandbox.submission import BodyTooLarge, read_body

#: The sandbox's own addresses, which the real API does not have: no key, no limit, no count.
OWN_ADDRESSES = "/_sandbox/"


class Gate:
    """Middleware that leaves the request's account in its state, or refuses the request."""

    def __init__(self, app: ASGIApp, stage: Stage) -> None:
        self._app = app
        self._stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(OWN_ADDRESSES):
            await self._app(scope, receive, send)
            return
        key = key_of(scope)
        known = self._stage.settings.keys
        if not key or (known and key not in known):
            await refuse(401, scope, receive, send)
            return
        account = self._stage.books.account(key)
        scope["state"]["account"] = account
        await self._serve(account, scope, receive, send)

    async def _serve(self, account: Account, scope: Scope, receive: Receive, send: Send) -> None:
        status = "none"

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        crowds = (self._stage.books.crowd, account.crowd)
        for crowd in crowds:
            crowd.enter()
        account.counts.requests += 1
        try:
            if account.window.admit(wire_of(scope).arrived):
                await self._app(scope, receive, send_and_note)
            else:
                await refuse(429, scope, receive, send_and_note)
        finally:
            for crowd in crowds:
                crowd.leave()
            account.counts.by_status[status] += 1
            account.counts.refusals += status == "429"


def key_of(scope: Scope) -> str:
    """The bearer key; empty without one."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            return key.strip() if scheme.lower() == "bearer" else ""
    return ""


async def refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request, once its body is read."""
    try:
        await read_body(Request(scope, receive))
    except BodyTooLarge:
        pass
    except BadBody:
        return
    await problem(scope["path"], status)(scope, receive, send)
