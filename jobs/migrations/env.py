"""Runs the migrations on the connection that `jobs.schema` hands over."""

from alembic import context
from sqlmodel import SQLModel

import jobs.models
import jobs.models_api
import jobs.models_brakes
import jobs.models_flows
import jobs.models_inputs
import jobs.models_webhooks  # noqa: F401  (all of them fill the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
