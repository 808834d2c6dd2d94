"""Alembic's migrations; `jobs.schema` runs them."""
