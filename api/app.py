"""The application: its parts, its routes, and what surrounds them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from api import documents
from api.envelope import Envelope
from api.methods import methods_of
from api.metrics import registry_of
from api.parts import build_parts
from api.problems import answer_problem
from api.readiness import Readiness
from api.routes import (
    account,
    assets,
    batches,
    brakes,
    catalog,
    dashboard,
    deliveries,
    events,
    exports,
    flows,
    health,
    jobs,
    outputs,
    schedules,
    verdicts,
    webhooks,
)
from api.stability import creating, results, user
from jobs.errors import DarkroomError
from jobs.settings import Settings

ROUTERS = (
    jobs.submitting,
    jobs.reading,
    verdicts.router,
    outputs.router,
    assets.uploading,
    assets.reading,
    assets.sending,
    batches.submitting,
    batches.streaming,
    batches.reading,
    exports.router,
    flows.submitting,
    flows.reading,
    schedules.submitting,
    schedules.reading,
    webhooks.router,
    deliveries.router,
    events.router,
    catalog.router,
    account.router,
    brakes.router,
    health.router,
    dashboard.router,
    creating.forms,
    creating.objects,
    results.router,
    user.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The interface with these settings; it connects when it starts."""
    app = FastAPI(
        title="Darkroom",
        summary="A job queue for the Stability AI API: nothing lost, nothing paid twice.",
        version=documents.VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    for kind in (DarkroomError, HTTPException, RequestValidationError, SQLAlchemyError):
        app.add_exception_handler(kind, answer_problem)
    for router in ROUTERS:
        app.include_router(router)
    documents.add_to(app)
    app.state.methods = methods_of(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
            allow_headers=["authorization", "idempotency-key", "last-event-id", "x-request-id"],
            expose_headers=["location", "retry-after", "ratelimit", "x-request-id"],
        )
    app.add_middleware(Envelope)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the connections while the application runs."""
    parts = build_parts(app.state.settings)
    app.state.parts = parts
    app.state.readiness = Readiness(parts)
    app.state.metrics = registry_of(parts)
    parts.bulletin.start()
    try:
        yield
    finally:
        await parts.bulletin.stop()
        parts.meter.close()
        parts.nudger.close()
        parts.redis.close()
        parts.database.close()
