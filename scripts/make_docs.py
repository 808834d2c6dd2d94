"""Write docs/operations.md from the catalog: `python scripts/make_docs.py`."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from jobs.catalog.loader import catalog
from jobs.catalog.operation import (
    MILLI,
    ImageRule,
    Kind,
    Operation,
    OutputSizes,
    Parameter,
    Price,
    Tie,
)

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"

HEAD = """\
# Operations

Everything that the Stability API can be asked for, with the names, bounds and prices that
Darkroom checks before anything is paid. This page is made from `jobs/catalog/*.toml` by
`python scripts/make_docs.py`.

Prices are in credits for one success. A name in **bold** is required. An image is given as an
input, everything else as a parameter. Darkroom never sends a default: it only shows what the API
does without the parameter.
"""

KINDS = {
    Kind.STRING: "text",
    Kind.INTEGER: "whole number",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "true or false",
    Kind.FILE: "image",
    Kind.PROMPTS: "prompts",
    Kind.OBJECT: "object",
    Kind.FIELDS: "object",
    Kind.PATH: "text",
}

ANSWERS = {"sync": "at once", "async": "later, by polling", "either": "either"}


def operations_page(operations: Iterable[Operation]) -> str:
    """The whole page; what is current comes first."""
    ordered = sorted(operations, key=lambda o: (o.path.startswith("/v2alpha"), o.is_v1, o.name))
    parts = [HEAD, "\n".join(_overview(ordered))]
    parts += ["\n".join(_section(operation)) for operation in ordered]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _overview(operations: Iterable[Operation]) -> Iterator[str]:
    yield "| operation | credits | gives | answer |"
    yield "|---|---|---|---|"
    for operation in operations:
        yield (
            f"| [`{operation.name}`](#{_anchor(operation.name)}) | {_credits(operation.price)} "
            f"| {operation.media} | {ANSWERS[operation.mode]} |"
        )


def _section(operation: Operation) -> Iterator[str]:
    yield f"## {operation.name}"
    yield ""
    legacy = " Legacy: for what already uses it." if operation.legacy else ""
    yield f"{operation.title}. `POST {operation.path}`.{legacy}"
    yield ""
    yield "| parameter | value | default | |"
    yield "|---|---|---|---|"
    for parameter in operation.parameters:
        yield _row(parameter)
    rules = [*_ties(operation.ties), *map(_sizes, operation.output_sizes)]
    if rules:
        yield ""
        yield from rules


def _row(parameter: Parameter) -> str:
    name = f"**{parameter.name}**" if parameter.required else parameter.name
    default = "" if parameter.default is None else f"`{_spelled(parameter.default)}`"
    return f"| {name} | {_value(parameter)} | {default} | {parameter.note} |"


def _value(parameter: Parameter) -> str:
    if parameter.values is not None:
        return ", ".join(f"`{value}`" for value in parameter.values)
    if parameter.kind is Kind.FILE:
        return _image(parameter.image or ImageRule())
    found = KINDS[parameter.kind]
    found += _range(parameter.minimum, parameter.maximum)
    if parameter.multiple_of is not None:
        found += f", a multiple of {parameter.multiple_of}"
    if parameter.max_length is not None:
        found += f" of {parameter.min_length or 0} to {parameter.max_length:,} characters"
    return found


def _range(minimum: Decimal | None, maximum: Decimal | None) -> str:
    if maximum is not None:
        return f" from {minimum or 0} to {maximum}"
    return "" if minimum is None else f", at least {minimum}"


def _image(rule: ImageRule) -> str:
    parts = [" or ".join(name.upper() for name in rule.formats)]
    if rule.sizes is not None:
        parts.append("exactly " + " or ".join(f"{width}x{height}" for width, height in rule.sizes))
    if rule.max_side is not None:
        parts.append(f"sides from {rule.min_side} to {rule.max_side:,}")
    elif rule.min_side > 1:
        parts.append(f"sides of at least {rule.min_side}")
    if rule.max_pixels is not None:
        parts.append(f"{rule.min_pixels:,} to {rule.max_pixels:,} pixels")
    elif rule.min_pixels > 1:
        parts.append(f"at least {rule.min_pixels:,} pixels")
    if rule.max_aspect is not None:
        parts.append(f"at most {rule.max_aspect} times as long as wide")
    return "; ".join(parts)


def _ties(ties: Iterable[Tie]) -> Iterator[str]:
    for tie in ties:
        if tie.any_of or tie.forbids_files:
            yield f"- {tie.message[0].upper()}{tie.message[1:]}."
        for name in (*tie.requires, *tie.forbids):
            yield f"- `{name}` {tie.message}."


def _sizes(rule: OutputSizes) -> str:
    if rule.sizes is not None:
        choice = ", ".join(f"{width}x{height}" for width, height in rule.sizes)
    else:
        choice = f"sides from {rule.min_side} to {rule.max_side}"
    return f"- `{rule.engine}` makes {choice}."


def _credits(price: Price) -> str:
    if price.stated_by is not None:
        return f"as `{price.stated_by}` says"
    if price.table is not None:
        return ", ".join(f"{amount / MILLI:g} ({name})" for name, amount in price.table.items())
    found = f"{(price.flat or 0) / MILLI:g}"
    return f"{found} a sample, more beyond 30 steps" if price.per_step else found


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return heading.replace("/", "").lower()


if __name__ == "__main__":
    PAGE.write_text(operations_page(catalog().values()), encoding="utf-8")
