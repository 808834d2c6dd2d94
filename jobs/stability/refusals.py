"""The API's error bodies: one shape for v1, another for what came after it."""

from collections.abc import Sequence

#: Name and sentence of each refusal, as the documents and the service word them.
WORDS: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request is invalid."),
    401: ("unauthorized", "missing or invalid authorization header"),
    402: ("payment_required", "You lack sufficient credits to make this request."),
    403: (
        "content_moderation",
        "Your request was flagged by our content moderation system, as a result your request "
        "was denied and you were not charged.",
    ),
    404: ("not_found", "The requested resource was not found."),
    405: ("method_not_allowed", "This address does not take this method."),
    413: ("payload_too_large", "body: payloads cannot be larger than 10MiB in size"),
    429: (
        "rate_limit_exceeded",
        "You have exceeded the rate limit of 150 requests within a 10 second period, and have "
        "been timed out for 60 seconds.",
    ),
    500: ("internal_error", "An unexpected server error has occurred, please try again later."),
    503: ("service_unavailable", "The service is overloaded, please try again later."),
}

#: A result id that nobody knows, as (name, sentence).
NO_GENERATION = (
    "generation_not_found",
    "id: the generation either does not exist or has expired.",
)


def is_v1(path: str) -> bool:
    """Whether an address of the API, without what stands before its version, is one of v1."""
    return path.startswith("/v1/")


def refusal(path: str, *, error_id: str, name: str, sentences: Sequence[str]) -> dict[str, object]:
    """The body of a refusal, in the shape that the address's version of the API has."""
    body: dict[str, object] = {"id": error_id, "name": name}
    if is_v1(path):
        return {**body, "message": "; ".join(sentences)}
    return {**body, "errors": list(sentences)}


def moderation(path: str) -> tuple[int, str]:
    """Status and name with which a prompt is refused; v1 words it as a bad request."""
    return (400, "invalid_prompts") if is_v1(path) else (403, "content_moderation")
