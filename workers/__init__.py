"""Celery carries ids, and this acts on them: dispatcher, executor, beat and its duties."""
