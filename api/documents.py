"""The interface's own description: OpenAPI, and the page that shows it."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse

from api.answers import Problem
from api.page import POLICY, page_of

try:
    VERSION = version("darkroom")
except PackageNotFoundError:
    VERSION = "0"


def add_to(app: FastAPI) -> None:
    """Describe what the application has by now."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= own.pop("$defs", {}) | {"Problem": own}
            app.openapi_schema = document
        return app.openapi_schema

    def show() -> HTMLResponse:
        return HTMLResponse(page_of(app.openapi()), headers={"content-security-policy": POLICY})

    app.openapi = describe  # type: ignore[method-assign]
    app.add_api_route("/docs", show, include_in_schema=False)
