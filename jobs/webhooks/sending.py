"""One try: sign a message, and bring it to its address under guard."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests
from standardwebhooks.webhooks import Webhook

from jobs.errors import DarkroomError
from jobs.guard import Guard
from jobs.webhooks.deliveries import Answer, Errand

#: A receiver that needs longer for an answer should take the message and work on it later.
SECONDS = 10.0
#: Of the answer, what the log keeps.
KEPT_BYTES = 1024
LONGEST_PAUSE = timedelta(days=1)


def send(guard: Guard, errand: Errand, secrets: Sequence[str], now: datetime) -> Answer:
    """Bring a delivery to its endpoint; whatever goes wrong is an answer too."""
    body = json.dumps(errand.delivery.payload, separators=(",", ":"))
    headers = signed(errand.delivery.id, body, secrets, now)
    answer = None
    try:
        with guard.request(
            "POST", errand.endpoint.url, seconds=SECONDS, headers=headers, data=body.encode()
        ) as response:
            answer = Answer(response.status_code, retry_after=retry_after(response, now))
            text = response.raw.read(KEPT_BYTES, decode_content=False)
            answer = replace(answer, text=text.decode("utf-8", "replace").replace("\0", ""))
    except DarkroomError as error:
        # A receiver that has said its status has answered, however the rest of it ends.
        return answer or Answer(None, error=f"{error.code}: {error}")
    return answer


def signed(message_id: str, body: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers of the Standard Webhooks; each secret that is valid now has signed."""
    signatures = [Webhook(one).sign(msg_id=message_id, timestamp=now, data=body) for one in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def retry_after(response: requests.Response, now: datetime) -> timedelta | None:
    """How long the receiver asks to be left alone: by seconds, or by a date."""
    told = response.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdecimal():
        # More digits than those of a day in seconds say nothing more.
        return timedelta(seconds=int(told)) if len(told) <= 5 else LONGEST_PAUSE
    try:
        until = parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta(0))
