"""The interface's own description: OpenAPI, and the page that shows it."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse

from api.answers import Problem

try:
    VERSION = version("darkroom")
except PackageNotFoundError:
    VERSION = "0"

#: The page's script and style come from here.
SHELF = "https://cdn.jsdelivr.net"
#: The page runs a line of script of its own.
POLICY = (
    f"default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    f"script-src {SHELF} 'unsafe-inline'; style-src {SHELF} 'unsafe-inline'; "
    "frame-ancestors 'none'"
)


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
        page = get_swagger_ui_html(openapi_url="/openapi.json", title="Darkroom")
        page.headers["content-security-policy"] = POLICY
        return page

    app.openapi = describe  # type: ignore[method-assign]
    app.add_api_route("/docs", show, include_in_schema=False)
