"""The API's own error bodies: one shape for v2beta, another for v1."""

from uuid import uuid4

from starlette.responses import HTMLResponse, JSONResponse, Response

#: Name and sentence of each refusal, as the documents and the service word them.
WORDS: dict[int, tuple[str, str]] = {
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

#: These come from the machines in front of the API, which do not speak its JSON.
GATEWAY_TITLES = {502: "Bad Gateway", 504: "Gateway Time-out"}


def problem(path: str, status: int, *, name: str = "", errors: tuple[str, ...] = ()) -> Response:
    """An error answer in the shape that the address's version of the API has."""
    if status in GATEWAY_TITLES:
        title = f"{status} {GATEWAY_TITLES[status]}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return HTMLResponse(page, status)
    usual_name, sentence = WORDS.get(status, ("bad_request", "The request is invalid."))
    body: dict[str, object] = {"id": uuid4().hex, "name": name or usual_name}
    sentences = list(errors or (sentence,))
    if path.startswith("/v1/"):
        body["message"] = "; ".join(sentences)
    else:
        body["errors"] = sentences
    return JSONResponse(body, status)


def refused_prompt(path: str) -> Response:
    """The answer to a prompt that moderation refuses; v1 words it as a bad request."""
    if path.startswith("/v1/"):
        sentence = "One or more prompts contains filtered words."
        return problem(path, 400, name="invalid_prompts", errors=(sentence,))
    return problem(path, 403)
