"""Stability's addresses in our own documents: what each takes and answers, out of the catalog."""

from typing import Any

from api.answers import Answers
from jobs.catalog.json_schema import property_of
from jobs.catalog.operation import Kind, Operation, Parameter
from jobs.stability.refusals import is_v1

BINARY = {"type": "string", "format": "binary"}
IDENTITY = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def request_of(operation: Operation) -> dict[str, Any]:
    """What a paid call takes, as a part of its OpenAPI operation."""
    of_path = [p for p in operation.parameters if p.place == "path"]
    of_body = [p for p in operation.parameters if p.place != "path"]
    is_form = operation.body == "multipart"
    fields = {name_of(p, is_form=is_form): p for p in of_body}
    schema = {
        "type": "object",
        "properties": {name: schema_of(p, is_form=is_form) for name, p in fields.items()},
        "required": [name for name, p in fields.items() if p.required],
    }
    content_type = "multipart/form-data" if is_form else "application/json"
    return {
        "parameters": [
            {"name": p.name, "in": "path", "required": True, "schema": property_of(p)}
            for p in of_path
        ],
        "requestBody": {"required": True, "content": {content_type: {"schema": schema}}},
    }


def name_of(parameter: Parameter, *, is_form: bool) -> str:
    """What the field is called; a form has one for each text of a list of prompts."""
    return f"{parameter.name}[0][text]" if is_prompts(parameter) and is_form else parameter.name


def schema_of(parameter: Parameter, *, is_form: bool) -> dict[str, Any]:
    """What may stand in the field."""
    if parameter.kind is Kind.FILE:
        return BINARY
    if is_prompts(parameter) and is_form:
        return {"type": "string", "description": "The next is [1]; [0][weight] is its weight."}
    return property_of(parameter)


def is_prompts(parameter: Parameter) -> bool:
    """Whether it is v1's list of texts with weights."""
    return parameter.kind is Kind.PROMPTS


def answers_of(operation: Operation) -> Answers:
    """What a paid call answers."""
    if operation.mode == "async":
        identity = {"description": "The id of the result", **json_of(IDENTITY)}
        return {200: identity, **refusals_of(operation.path)}
    return results_of(operation.path, {operation.media})


def results_of(path: str, media: set[str]) -> Answers:
    """A result, or that it goes on."""
    content = json_of({"type": "object"})["content"]
    content |= {f"{kind}/*": {"schema": BINARY} for kind in sorted(media)}
    return {
        200: {"description": "The result, in the form that `accept` names", "content": content},
        202: {"description": "The job goes on; `location` is its result's", **json_of(IDENTITY)},
        **refusals_of(path),
    }


def refusals_of(path: str) -> Answers:
    """The refusals of an address, in the shape of its version."""
    told: dict[str, Any] = {"errors": {"type": "array", "items": {"type": "string"}}}
    if is_v1(path):
        told = {"message": {"type": "string"}}
    names = {"id": {"type": "string"}, "name": {"type": "string"}}
    refusal = {"type": "object", "properties": names | told, "required": [*names, *told]}
    return {
        "4XX": {"description": "Why it is refused", **json_of(refusal)},
        "5XX": {"description": "What is out of order", **json_of(refusal)},
    }


def json_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The content of an answer in JSON."""
    return {"content": {"application/json": {"schema": schema}}}
