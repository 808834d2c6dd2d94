"""For those who run it: does it live, can it work, and how much does it do."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.access import open_router
from api.answers import Health, Ready

router = open_router("operations")


@router.get("/healthz", response_model=Health)
async def live() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_model=Ready, responses={503: {"model": Ready}})
async def ready(request: Request) -> JSONResponse:
    """Whether database, migrations, broker and bucket answer, and why not."""
    faults = await request.app.state.readiness.faults()
    is_ready = not any(faults.values())
    parts = {name: fault or "ok" for name, fault in faults.items()}
    status = "ok" if is_ready else "unavailable"
    return JSONResponse({"status": status, "parts": parts}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Figures over all projects, for Prometheus."""
    text = generate_latest(request.app.state.metrics)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
