"""One try: sign a message, and bring it to its address under guard."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import requests
from sqlalchemy import Row
from standardwebhooks.webhooks import Webhook

from jobs.errors import DarkroomError
from jobs.guard import Guard
from jobs.webhooks.deliveries import Answer

#: A receiver that needs longer for an answer should take the message and work on it later.
SECONDS = 10.0
#: Of the answer, what the log keeps.
KEPT_BYTES = 1024


def send(
    guard: Guard, endpoint: Row[Any], row: Row[Any], keys: Sequence[str], now: datetime
) -> Answer:
    """Bring a delivery to its endpoint; whatever goes wrong is an answer too."""
    body = json.dumps(row.payload, ensure_ascii=False, separators=(",", ":"))
    headers = signed(row.id, body, keys, now)
    try:
        with guard.request(
            "POST", endpoint.url, seconds=SECONDS, headers=headers, data=body.encode()
        ) as response:
            text = response.raw.read(KEPT_BYTES, decode_content=False)
            return Answer(
                response.status_code,
                text=text.decode("utf-8", "replace").replace("\0", ""),
                retry_after=retry_after(response),
            )
    except DarkroomError as error:
        return Answer(None, error=f"{error.code}: {error}")


def signed(message_id: str, body: str, keys: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers of the Standard Webhooks; each key that is valid now has signed."""
    name = f"msg_{message_id}"
    signatures = [Webhook(key).sign(msg_id=name, timestamp=now, data=body) for key in keys]
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def retry_after(response: requests.Response) -> timedelta | None:
    """How long the receiver asks to be left alone."""
    told = response.headers.get("retry-after", "")
    return timedelta(seconds=min(int(told), 86_400)) if told.isdecimal() else None
