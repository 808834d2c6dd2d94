"""An endpoint and a delivery as the outside sees them."""

from typing import Any

from sqlalchemy import Row

from jobs.public import when


def webhook_public(row: Row[Any]) -> dict[str, Any]:
    """The public form of an endpoint."""
    return {
        "id": row.id,
        "url": row.url,
        "events": row.events,
        "description": row.description,
        "named_only": row.is_named,
        "enabled": row.disabled_at is None,
        "disabled_reason": row.disabled_reason,
        "failing_since": when(row.failing_since),
        "rotated_at": when(row.rotated_at),
        "created_at": when(row.created_at),
    }


def delivery_public(row: Row[Any]) -> dict[str, Any]:
    """The public form of a delivery."""
    state = "waiting" if row.ended_at is None else "delivered" if row.delivered_at else "failed"
    return {
        "id": row.id,
        "webhook_id": row.endpoint_id,
        "type": row.type,
        "subject_id": row.subject_id,
        "state": state,
        "tries": row.tries,
        "last_status": row.last_status,
        "last_error": row.last_error,
        "last_answer": row.last_answer,
        "next_try_at": when(row.due_at) if row.ended_at is None else None,
        "created_at": when(row.created_at),
        "delivered_at": when(row.delivered_at),
        "payload": row.payload,
    }
