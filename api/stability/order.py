"""A request in Stability's form -> an order: parameters and files, as they came."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from starlette.datastructures import Headers
from starlette.requests import Request

from api.problems import InvalidRequest
from jobs.catalog.operation import Operation
from jobs.errors import Fault
from jobs.stability.accept import NotAcceptable, acceptable, wants_json
from jobs.stability.parsing import BadBody, Form, read_form, read_json, unfold

#: Files up to this size wait in memory, larger ones on disk: many callers come at once.
IN_MEMORY = 256 * 1024

#: What an application may say of itself; it stays with the job.
CLIENT_HEADERS = (
    "stability-client-id",
    "stability-client-user-id",
    "stability-client-version",
)
#: Stability: such a header has at most so many characters.
LONGEST_HEADER = 256


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for. Its files are open as long as the request is read."""

    operation: Operation
    params: Mapping[str, Any]
    files: Mapping[str, BinaryIO] = field(default_factory=dict)
    #: Fields of a form are text; those of JSON have types.
    from_text: bool
    #: The answer is to be JSON, and not the media itself.
    as_json: bool
    labels: dict[str, Any]


@asynccontextmanager
async def order_in(request: Request, operation: Operation) -> AsyncIterator[Order]:
    """The order in a request, and its files closed in the end; raises InvalidRequest."""
    as_json = operation.mode == "sync" and wanted_form(request, operation)
    labels = labels_of(request.headers)
    if operation.body == "json":
        params = {**await json_in(request), **request.path_params}
        yield Order(
            operation=operation, params=params, from_text=False, as_json=as_json, labels=labels
        )
        return
    form = await form_in(request, operation)
    try:
        yield Order(
            operation=operation,
            params={**unfold(form.fields), **request.path_params},
            files={name: file.file for name, file in form.files.items()},
            from_text=True,
            as_json=as_json,
            labels=labels,
        )
    finally:
        await form.data.close()


async def json_in(request: Request) -> dict[str, Any]:
    """The object in the body."""
    try:
        return read_json(await request.body())
    except BadBody as error:
        raise bad_body(error) from error


async def form_in(request: Request, operation: Operation) -> Form:
    """The form in the body."""
    try:
        return await read_form(request.headers, request.stream(), operation, in_memory=IN_MEMORY)
    except BadBody as error:
        raise bad_body(error) from error


def bad_body(error: BadBody) -> InvalidRequest:
    """That the body cannot be read."""
    return InvalidRequest([Fault(field="", code="bad_body", message=str(error))])


def wanted_form(request: Request, operation: Operation) -> bool:
    """Whether the answer is to be JSON; raises InvalidRequest for what is not made."""
    try:
        return wants_json(operation, request.headers.get("accept", ""))
    except NotAcceptable as error:
        fault = Fault(field="accept", code="not_acceptable", message=acceptable(operation))
        raise InvalidRequest([fault]) from error


def labels_of(headers: Headers) -> dict[str, Any]:
    """What the application says of itself; raises InvalidRequest."""
    told = {name: headers[name] for name in CLIENT_HEADERS if headers.get(name)}
    message = f"must have at most {LONGEST_HEADER} characters"
    faults = [
        Fault(field=name, code="too_long", message=message)
        for name, value in told.items()
        if len(value) > LONGEST_HEADER
    ]
    if faults:
        raise InvalidRequest(faults)
    return told
