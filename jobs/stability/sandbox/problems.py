"""The API's refusals as answers, and those of the machines in front of it."""

from uuid import uuid4

from starlette.responses import HTMLResponse, JSONResponse, Response

from jobs.stability.refusals import WORDS, is_v1, moderation, refusal

#: These come from the machines in front of the API, which do not speak its JSON.
GATEWAY_TITLES = {502: "Bad Gateway", 504: "Gateway Time-out"}


def problem(path: str, status: int, *, name: str = "", errors: tuple[str, ...] = ()) -> Response:
    """An error answer in the shape that the address's version of the API has."""
    if status in GATEWAY_TITLES:
        title = f"{status} {GATEWAY_TITLES[status]}"
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return HTMLResponse(page, status)
    usual_name, sentence = WORDS.get(status, WORDS[400])
    sentences = errors or (sentence,)
    body = refusal(path, error_id=uuid4().hex, name=name or usual_name, sentences=sentences)
    return JSONResponse(body, status)


def refused_prompt(path: str) -> Response:
    """The answer to a prompt that moderation refuses; v1 has a sentence of its own."""
    status, name = moderation(path)
    errors = ("One or more prompts contains filtered words.",) if is_v1(path) else ()
    return problem(path, status, name=name, errors=errors)
