"""`darkroom operations`: what can be asked of the API."""

from typing import Annotated, Any

import typer

from jobs.catalog.loader import catalog
from jobs.catalog.loader import operation as find_operation
from jobs.catalog.operation import Operation, Parameter
from jobs.cli.answer import AsJson, say
from jobs.public import credits_of


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("operations")(operations)


def operations(
    name: Annotated[str | None, typer.Argument(help="Show one with its parameters.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the operations, or show one."""
    if name is not None:
        show(find_operation(name), as_json=as_json)
        return
    listed = list(catalog().values())
    width = max(len(operation.name) for operation in listed)
    lines = (line(operation, width) for operation in listed)
    say([summary(operation) for operation in listed], *lines, as_json=as_json)


def line(operation: Operation, width: int) -> str:
    """An operation in one line, behind a name of that width."""
    legacy = "  (legacy)" if operation.legacy else ""
    return (
        f"{operation.name:{width}}  {operation.mode:5}  {price(operation):>9}  "
        f"{operation.title}{legacy}"
    )


def show(operation: Operation, *, as_json: bool) -> None:
    """One operation in full."""
    width = max(len(p.name) for p in operation.parameters)
    say(
        operation.model_dump(mode="json"),
        f"{operation.name}: {operation.title}",
        f"POST {operation.path} · {operation.mode} · {operation.media} · {price(operation)}\n",
        *(f"  {p.name:{width}}  {describe(p)}" for p in operation.parameters),
        *([""] if operation.ties else []),
        *(f"  {tie.message}" for tie in operation.ties),
        as_json=as_json,
    )


def summary(operation: Operation) -> dict[str, Any]:
    """One line of the list, for programs."""
    return {
        "name": operation.name,
        "title": operation.title,
        "mode": operation.mode,
        "media": operation.media,
        "credits": price(operation),
        "legacy": operation.legacy,
    }


def price(operation: Operation) -> str:
    """The price in credits, or its range."""
    if operation.price.stated_by is not None:
        return f"as {operation.price.stated_by}"
    if operation.price.table is not None:
        prices = sorted(set(operation.price.table.values()))
        return f"{credits_of(prices[0])}-{credits_of(prices[-1])} cr"
    text = f"{credits_of(operation.price.flat)} cr"
    return f"from {text}" if operation.price.per_step else text


def describe(parameter: Parameter) -> str:
    """A parameter's kind, bounds and default in words."""
    parts = [str(parameter.kind)]
    if parameter.values is not None:
        parts.append("one of " + ", ".join(str(value) for value in parameter.values))
    if parameter.minimum is not None or parameter.maximum is not None:
        low = "" if parameter.minimum is None else f"{parameter.minimum.normalize():f}"
        high = "" if parameter.maximum is None else f"{parameter.maximum.normalize():f}"
        parts.append(f"{low}..{high}")
    if parameter.max_length is not None:
        parts.append(f"up to {parameter.max_length} characters")
    if parameter.required:
        parts.append("required")
    elif parameter.default is not None:
        parts.append(f"default {parameter.default}")
    return ", ".join(parts)
