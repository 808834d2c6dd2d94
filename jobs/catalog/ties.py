"""The rules that tie parameters together: given values -> faults."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jobs.catalog.operation import Operation, OutputSizes, Tie
from jobs.errors import Fault


def tie_faults(
    operation: Operation, params: Mapping[str, Any], given: Collection[str]
) -> Iterator[Fault]:
    """Every tie that is broken; `given` also names files and values that have faults."""
    for tie in operation.ties:
        if _applies(tie, operation, params, given):
            yield from _broken(tie, operation, params, given)
    if operation.output_sizes:
        yield from _size_faults(operation, params, given)


def _applies(
    tie: Tie, operation: Operation, params: Mapping[str, Any], given: Collection[str]
) -> bool:
    if tie.when is None:
        return True
    if tie.equals is None:
        return tie.when in given
    if tie.when in given:
        return bool(params.get(tie.when) == tie.equals)
    parameter = operation.parameter(tie.when)
    return parameter is not None and parameter.default == tie.equals


def _broken(
    tie: Tie, operation: Operation, params: Mapping[str, Any], given: Collection[str]
) -> Iterator[Fault]:
    for name in tie.requires:
        if name not in given:
            yield Fault(field=name, code="required", message=tie.message)
    for name in tie.forbids:
        if name in given:
            yield Fault(field=name, code="conflict", message=tie.message)
    if tie.forbids_files:
        for name in sorted(given):
            if name not in params and operation.file(name) is not None:
                yield Fault(field=name, code="conflict", message=tie.message)
    if tie.any_of and not any(name in given and params.get(name, True) for name in tie.any_of):
        yield Fault(field=tie.any_of[0], code="required", message=tie.message)


def _size_faults(
    operation: Operation, params: Mapping[str, Any], given: Collection[str]
) -> Iterator[Fault]:
    sides = {"width", "height"}.intersection(given)
    if not sides or not sides <= params.keys():
        return
    parameter = operation.parameter("engine_id")
    engine = params.get("engine_id", parameter.default if parameter else None)
    for rule in operation.output_sizes:
        if rule.engine != engine:
            continue
        width = params.get("width", rule.default[0])
        height = params.get("height", rule.default[1])
        if not rule.allows(width, height):
            field = "width" if "width" in params else "height"
            message = f"{width}x{height} is no size of {engine}; take {_choice(rule)}"
            yield Fault(field=field, code="bad_size", message=message)


def _choice(rule: OutputSizes) -> str:
    if rule.sizes is not None:
        return "one of " + ", ".join(f"{width}x{height}" for width, height in rule.sizes)
    return f"sides from {rule.min_side} to {rule.max_side}"
