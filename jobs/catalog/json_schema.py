"""An operation's parameters and inputs as JSON Schema, for those who build forms and clients."""

from decimal import Decimal
from typing import Any

from jobs.catalog.operation import Kind, Operation, Parameter

TYPES = {
    Kind.STRING: "string",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "boolean",
    Kind.OBJECT: "object",
    Kind.FIELDS: "object",
    Kind.PATH: "string",
}


def params_schema(operation: Operation) -> dict[str, Any]:
    """What may stand under `params`; ties between parameters are sentences in `operation`."""
    return object_of([p for p in operation.parameters if p.kind is not Kind.FILE], property_of)


def inputs_schema(operation: Operation) -> dict[str, Any]:
    """What may stand under `inputs`."""
    files = [p for p in operation.parameters if p.kind is Kind.FILE]
    schema = object_of(files, reference_of)
    if operation.takes_any_file:
        return schema | {"additionalProperties": {"type": "string"}}
    return schema


def object_of(parameters: list[Parameter], schema_of: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": {parameter.name: schema_of(parameter) for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": False,
    }


def reference_of(parameter: Parameter) -> dict[str, Any]:
    """A reference to a file."""
    return described(parameter, {"type": "string"})


def property_of(parameter: Parameter) -> dict[str, Any]:
    """One parameter with its bounds."""
    if parameter.kind is Kind.PROMPTS:
        return described(parameter, prompts_of(parameter))
    schema: dict[str, Any] = {"type": TYPES[parameter.kind]}
    if parameter.values is not None:
        # The kinds of the values say more than the parameter's own.
        schema = {"enum": list(parameter.values)}
    bounds = {
        "minimum": number(parameter.minimum),
        "maximum": number(parameter.maximum),
        "multipleOf": parameter.multiple_of,
        "minLength": parameter.min_length,
        "maxLength": parameter.max_length,
        "pattern": None if parameter.pattern is None else f"^(?:{parameter.pattern})$",
        "default": parameter.default,
    }
    return described(parameter, schema | {k: v for k, v in bounds.items() if v is not None})


def prompts_of(parameter: Parameter) -> dict[str, Any]:
    """v1's list of texts with weights, or one text."""
    text: dict[str, Any] = {"type": "string"}
    if parameter.max_length is not None:
        text["maxLength"] = parameter.max_length
    weighted = {
        "type": "object",
        "properties": {"text": text, "weight": {"type": "number"}},
        "required": ["text"],
    }
    return {"anyOf": [text, {"type": "array", "items": weighted, "minItems": 1}]}


def described(parameter: Parameter, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the parameter's note."""
    return schema | {"description": parameter.note} if parameter.note else schema


def number(bound: Decimal | None) -> int | float | None:
    """A bound as JSON writes it."""
    if bound is None:
        return None
    return int(bound) if bound == bound.to_integral_value() else float(bound)
