"""Parameters against the catalog's own bounds, and against whatever Hypothesis comes up with."""

import json
import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.catalog.loader import catalog
from jobs.catalog.operation import Kind, Operation, Parameter
from jobs.catalog.storable import text_fault
from jobs.catalog.validate import clean

Job = tuple[Operation, dict[str, Any], set[str]]

#: Stands for a parameter that is left out.
ABSENT = None


def sample(parameter: Parameter) -> Any:
    """One value that the parameter takes."""
    if parameter.values:
        return parameter.values[0]
    if parameter.name == "result_path":
        return "/v2beta/next/{id}"
    samples: dict[Kind, Any] = {Kind.STRING: "a", Kind.BOOLEAN: True, Kind.PROMPTS: "a"}
    samples |= {Kind.OBJECT: {}, Kind.FIELDS: {}, Kind.PATH: "/v2beta/next/thing"}
    return samples.get(parameter.kind, int(parameter.maximum or 512))


def choices(found: Operation, parameter: Parameter) -> list[Any]:
    """What a parameter may be in the jobs that are tried; True stands for a file."""
    if parameter.kind is Kind.FILE:
        return [True] if parameter.required else [ABSENT, True]
    if parameter.name == "engine_id":
        return [ABSENT, "another-engine"]
    steers = any(tie.when == parameter.name and tie.equals for tie in found.ties)
    options = list(parameter.values or ()) if steers else [sample(parameter)]
    return options if parameter.required else [ABSENT, *options]


def jobs_with(found: Operation, name: str, value: Any) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Jobs that have this value, and between them every way to satisfy the ties."""
    tied = {tied for tie in found.ties for tied in tie.names} | {"engine_id"}
    varied = [p for p in found.parameters if p.name != name and (p.required or p.name in tied)]
    for picks in product(*(choices(found, p) for p in varied)):
        job = {p.name: pick for p, pick in zip(varied, picks, strict=True)}
        files = {p.name for p in varied if p.kind is Kind.FILE and job.pop(p.name)}
        yield {**job, name: value}, files


def is_taken(found: Operation, name: str, value: Any) -> bool:
    """Whether any job with this value is sound."""
    return any(
        not clean(found, params, files=files)[1] for params, files in jobs_with(found, name, value)
    )


def edges(parameter: Parameter) -> Iterator[tuple[Any, bool]]:
    """Values at the parameter's bounds, and just beyond: (value, is it allowed)."""
    if parameter.values is not None:
        yield from ((value, True) for value in parameter.values)
        yield from ((f"{value}x", False) for value in parameter.values)
    elif parameter.kind in (Kind.INTEGER, Kind.NUMBER):
        yield from number_edges(parameter)
    elif parameter.kind in (Kind.STRING, Kind.PROMPTS):
        if parameter.min_length:
            yield "é" * parameter.min_length, True
            yield "é" * (parameter.min_length - 1), False
        if parameter.max_length and not parameter.pattern:
            yield "é" * parameter.max_length, True
            yield "é" * (parameter.max_length + 1), False
        yield 5, False
    elif parameter.kind is Kind.BOOLEAN:
        yield from [(True, True), (False, True), (1, False), ("yes", False)]
    elif parameter.kind in (Kind.OBJECT, Kind.FIELDS):
        yield from [({}, True), ([], False)]


def number_edges(parameter: Parameter) -> Iterator[tuple[Any, bool]]:
    is_whole = parameter.kind is Kind.INTEGER
    for bound, outwards in ((parameter.minimum, -1), (parameter.maximum, 1)):
        if bound is None:
            continue
        edge = int(bound) if is_whole else float(bound)
        step = parameter.multiple_of or 1
        beyond = edge + outwards * step if is_whole else math.nextafter(edge, outwards * math.inf)
        yield edge, True
        yield beyond, False
        if parameter.multiple_of:
            yield edge - outwards, False


EDGES = [
    pytest.param(found, parameter.name, value, allowed, id=f"{name}-{parameter.name}-{number}")
    for name, found in catalog().items()
    for parameter in found.parameters
    for number, (value, allowed) in enumerate(edges(parameter))
]


@pytest.mark.parametrize(("found", "name", "value", "allowed"), EDGES)
def test_a_bound_itself_is_taken_and_what_lies_beyond_is_not(
    found: Operation, name: str, value: Any, allowed: bool
) -> None:
    assert is_taken(found, name, value) is allowed


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """An operation with sound, odd and unknown parameters, and some files."""
    found = draw(st.sampled_from(list(catalog().values())))
    params: dict[str, Any] = {}
    for parameter in draw(st.lists(st.sampled_from(found.parameters), unique=True)):
        sound = st.just(sample(parameter)) | st.sampled_from(
            [e for e, _ in edges(parameter)] or [0]
        )
        params[parameter.name] = draw(sound | JSON)
    params |= draw(st.dictionaries(st.text(st.characters(exclude_categories=())), JSON, max_size=2))
    names = [parameter.name for parameter in found.parameters]
    return found, params, draw(st.sets(st.sampled_from(names) | st.text()))


@given(job=jobs(), from_text=st.booleans())
def test_nothing_that_json_can_hold_makes_it_raise(job: Job, from_text: bool) -> None:
    found, params, files = job

    cleaned, faults = clean(found, params, files=files, from_text=from_text)

    assert cleaned.keys() <= {parameter.name for parameter in found.parameters}
    json.dumps(cleaned, allow_nan=False, ensure_ascii=False).encode()
    for fault in faults:
        assert text_fault(str(fault)) is None
        assert len(str(fault)) < 1000


@given(job=jobs(), from_text=st.booleans())
def test_what_is_accepted_is_accepted_again_unchanged(job: Job, from_text: bool) -> None:
    found, params, files = job
    cleaned, faults = clean(found, params, files=files, from_text=from_text)

    again, more_faults = clean(found, cleaned, files=files)

    assert repr(again) == repr(cleaned)
    if not faults:
        assert not more_faults


@given(job=jobs())
def test_values_are_not_changed_on_the_way(
    job: Job,
) -> None:
    found, params, files = job

    cleaned, _ = clean(found, params, files=files)

    for name, value in cleaned.items():
        assert value == params[name] or value == [{"text": params[name]}]
