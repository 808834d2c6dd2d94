"""The catalog against Stability's own OpenAPI documents, in both directions, and its page."""

import json
import os
import re
import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog.loader import HERE, SHARED, addressed, catalog, operation, read
from jobs.catalog.operation import MILLI, Operation, Parameter
from jobs.errors import InvalidJob

ROOT = Path(__file__).parents[1]
DOCUMENTS = ROOT.parent / "shared" / "stability"
#: The newest document that describes an address has the say.
NEWEST_FIRST = ("openapi-v2beta.json", "openapi-v1-2024.json", "openapi-v1-2023.json")

#: How the documents tell a flat price.
FLAT_PRICE = re.compile(r"(?:Flat rate of|uses) ([0-9.]+) credits? per successful")

#: What is known of one parameter; an absent fact is absent here too.
Facts = dict[str, Any]
#: "operation parameter fact"
Place = str

V1 = ("v1/text-to-image", "v1/image-to-image", "v1/image-to-image/masking")
FAST_3D, AWARE_3D = "3d/stable-fast-3d", "3d/stable-point-aware-3d"
MASKED = ("erase", "inpaint", "search-and-replace", "search-and-recolor")


def is_v2_with_seed(entry: Operation) -> bool:
    return not entry.is_v1 and entry.parameter("seed") is not None


#: Where the catalog differs, by reason. What has ceased to differ must go from here.
ACCEPTED: dict[str, set[Place]] = {
    "the document says number for what counts pixels, vertices, buckets, or is a seed": {
        *(f"edit/{name} grow_mask kind" for name in MASKED),
        "image-to-video motion_bucket_id kind",
        "v2alpha/image-to-video motion_bucket_id kind",
        f"{FAST_3D} vertex_count kind",
        f"{AWARE_3D} target_count kind",
        *(f"{name} seed kind" for name, entry in catalog().items() if is_v2_with_seed(entry)),
    },
    "the document spells a boolean as an enum of the texts true and false": {
        "edit/replace-background-and-relight keep_original_background kind",
        "edit/replace-background-and-relight keep_original_background values",
        "edit/replace-background-and-relight keep_original_background default",
    },
    "the document lists a prompt among the required, but describes none": {
        "edit/erase prompt required",
    },
    "the document leaves the engine to the caller; the catalog suggests one": {
        f"{name} engine_id {fact}"
        for name in (*V1, "v1/image-to-image/upscale")
        for fact in ("default", "required")
    },
    "the document tells the values in prose and in a discriminator": {
        "v1/image-to-image/masking mask_source values",
    },
}


@cache
def document(name: str) -> dict[str, Any]:
    """One document; without it the tests skip, but not where they must all run."""
    path = DOCUMENTS / name
    if not path.exists():
        reason = f"Stability's document {name} is not there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its reference followed and its `allOf` and `oneOf` laid together."""
    while "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/")]
        schema = found
    merged = {**schema}
    for part in schema.get("allOf", ()):
        merged = joined(merged, resolved(root, part))
    variants = [resolved(root, variant) for variant in schema.get("oneOf", ())]
    for variant in variants:
        merged = joined(merged, variant)
    if variants:
        # Only what every variant demands is demanded.
        merged["required"] = sorted(set.intersection(*(set(v["required"]) for v in variants)))
    return merged


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    properties = {**one.get("properties", {})}
    for name, schema in other.get("properties", {}).items():
        known = properties.get(name, {})
        values = [*known.get("enum", ()), *schema.get("enum", ())]
        properties[name] = {**known, **schema, **({"enum": values} if values else {})}
    required = [*one.get("required", ()), *other.get("required", ())]
    return {**one, **other, "properties": properties, "required": required}


def documented() -> dict[str, dict[str, Facts]]:
    """Address -> parameter -> facts, of every paid call."""
    found: dict[str, dict[str, Facts]] = {}
    for name in NEWEST_FIRST:
        root = document(name)
        for path, methods in root["paths"].items():
            if "post" in methods and path not in found:
                found[path] = documented_parameters(root, methods["post"])
    return found


def documented_parameters(root: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Facts]:
    content = resolved(root, call["requestBody"])["content"]
    ((content_type, media),) = content.items()
    body = resolved(root, media["schema"])
    parameters = {
        name: facts_of(root, resolved(root, schema), required=name in body["required"])
        for name, schema in body["properties"].items()
    }
    for name in set(body["required"]) - parameters.keys():
        parameters[name] = {"required": True}
    for parameter in (resolved(root, parameter) for parameter in call.get("parameters", ())):
        if parameter["in"] == "path":
            parameters[parameter["name"]] = facts_of(root, parameter["schema"], required=True)
    return {**parameters, "": {"body": content_type.rpartition("/")[2].partition("-")[0]}}


def facts_of(root: Mapping[str, Any], schema: Mapping[str, Any], *, required: bool) -> Facts:
    kind = "file" if schema.get("format") == "binary" else schema["type"]
    item = resolved(root, schema["items"])["properties"]["text"] if kind == "array" else schema
    return known(
        kind="prompts" if kind == "array" else kind,
        required=required or None,
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        multiple_of=schema.get("multipleOf"),
        min_length=item.get("minLength") or None,
        max_length=item.get("maxLength"),
        values=frozenset(schema["enum"]) if "enum" in schema else None,
        default=schema.get("default"),
    )


def known(**facts: Any) -> Facts:
    return {name: value for name, value in facts.items() if value is not None}


def cataloged(found: Operation) -> dict[str, Facts]:
    """The same facts, as the catalog has them."""
    parameters = {parameter.name: cataloged_facts(parameter) for parameter in found.parameters}
    body = "form" if found.body == "multipart" else "json"
    return {**parameters, "": {"body": body}}


def cataloged_facts(parameter: Parameter) -> Facts:
    def number(bound: Any) -> Any:
        return None if bound is None else float(bound)

    return known(
        kind=parameter.kind.value,
        required=parameter.required or None,
        minimum=number(parameter.minimum),
        maximum=number(parameter.maximum),
        multiple_of=parameter.multiple_of,
        min_length=parameter.min_length or None,
        max_length=parameter.max_length,
        values=frozenset(parameter.values) if parameter.values else None,
        default=parameter.default,
    )


def differences() -> dict[Place, str]:
    """Every fact that the documents and the catalog do not agree on."""
    theirs = documented()
    found: dict[Place, str] = {}
    for name, entry in addressed().items():
        documented_facts, our_facts = theirs[entry.path], cataloged(entry)
        for parameter in documented_facts.keys() | our_facts.keys():
            there, here = documented_facts.get(parameter, {}), our_facts.get(parameter, {})
            for fact in there.keys() | here.keys():
                if there.get(fact) != here.get(fact):
                    place = f"{name} {parameter} {fact}"
                    found[place] = f"documents {there.get(fact)}, catalog {here.get(fact)}"
    return found


def test_every_documented_call_is_in_the_catalog_and_no_other() -> None:
    paths = [entry.path for entry in addressed().values()]

    assert sorted(paths) == sorted(documented())


def test_every_fact_of_the_documents_is_in_the_catalog_or_accepted_as_a_difference() -> None:
    accepted = set().union(*ACCEPTED.values())

    unexplained = {place: what for place, what in differences().items() if place not in accepted}

    assert not unexplained


def test_no_accepted_difference_is_stale() -> None:
    accepted = set().union(*ACCEPTED.values())

    assert not accepted - differences().keys()


def test_every_result_address_is_documented() -> None:
    paths = document(NEWEST_FIRST[0])["paths"]
    addresses = {entry.result_path for entry in addressed().values() if entry.result_path}

    undocumented = {address for address in addresses if "get" not in paths.get(address, {})}

    assert not undocumented


def test_flat_prices_are_those_of_the_documents() -> None:
    paths = document(NEWEST_FIRST[0])["paths"]
    stated = {
        path: [float(price) for price in FLAT_PRICE.findall(methods["post"]["description"])]
        for path, methods in paths.items()
        if "post" in methods
    }
    flat = {path: prices[0] for path, prices in stated.items() if len(prices) == 1}
    ours = {e.path: (e.price.flat or 0) / MILLI for e in addressed().values() if e.path in flat}

    # All of v2beta but sd3, which has a price for each model.
    assert len(flat) == 18
    assert ours == flat


def test_each_sd3_model_has_the_price_of_the_document() -> None:
    path = "/v2beta/stable-image/generate/sd3"
    call = document(NEWEST_FIRST[0])["paths"][path]["post"]
    body = call["requestBody"]["content"]["multipart/form-data"]["schema"]
    prose = body["properties"]["model"]["description"]
    stated = re.findall(r"`(.+?)` requires ([0-9.]+) credits", prose)

    table = operation("generate/sd3").price.table

    assert table == {model: float(price) * MILLI for model, price in stated}


@pytest.mark.parametrize(
    ("params", "milli"),
    [
        pytest.param({}, 900, id="30 steps are the default"),
        pytest.param({"steps": 10}, 900, id="fewer steps cost as much as 30"),
        pytest.param({"steps": 50}, 1500, id="more steps cost more"),
        pytest.param({"steps": 31, "samples": 10}, 9300, id="each sample is paid for"),
    ],
)
def test_v1_is_priced_by_steps_and_samples(params: dict[str, int], milli: int) -> None:
    assert operation("v1/text-to-image").price_of(params) == milli


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("generate/cor", "generate/core"),
        ("core", "generate/core"),
        ("remove-background", "edit/remove-background"),
    ],
)
def test_an_unknown_operation_is_refused_with_the_closest_name(name: str, suggestion: str) -> None:
    with pytest.raises(InvalidJob, match=suggestion) as raised:
        operation(name)

    (fault,) = raised.value.faults
    assert (fault.field, fault.code) == ("operation", "unknown_operation")


ENTRY = """
[[operation]]
name = "a"
title = "A"
path = "/a"
mode = "sync"
media = "image"
price = { flat = 1 }
parameters = [{ name = "p", kind = "string" }]
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(ENTRY + ENTRY, "twice", id="a duplicate"),
        pytest.param(ENTRY + "colour = 1", "colour", id="an unknown key of an operation"),
        pytest.param(ENTRY.replace('"string"', '"string", min = 1'), "min", id="an unknown bound"),
        pytest.param(ENTRY + "[other]", "something else", id="an unknown table"),
        pytest.param(ENTRY.replace("name =", "like ="), "refers to", id="like nothing"),
        pytest.param(ENTRY.replace('"/a"', '"/{p}"'), "path", id="a path not filled"),
        pytest.param(ENTRY.replace("flat = 1", ""), "no price", id="no price"),
        pytest.param(ENTRY.replace("sync", "async"), "results", id="no address of results"),
        pytest.param(
            ENTRY + 'ties = [{ requires = ["q"], message = "m" }]', "ties", id="a tie on nothing"
        ),
        pytest.param(
            ENTRY.replace("}]", '}, { name = "p", kind = "number" }]'), "twice", id="a double name"
        ),
        pytest.param(
            ENTRY.replace("flat = 1", 'by = "p", table = { x = 1 }'), "price", id="a loose price"
        ),
    ],
)
def test_a_catalog_that_makes_no_sense_is_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / SHARED).write_text("", encoding="utf-8")
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=complaint):
        read(tmp_path)


def test_the_catalog_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        catalog()["generate/core"] = operation("generate/ultra")  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        operation("generate/core").title = "Another"  # type: ignore[misc]


def test_every_shared_parameter_and_image_rule_is_used() -> None:
    texts = [path.read_text(encoding="utf-8") for path in HERE.glob("*.toml")]
    named = re.findall(r'(?:like|image) = "([^"]+)"', "".join(texts))
    shared = re.findall(r"^\[(?:parameters|images)\.(\w+)\]", "".join(texts), re.MULTILINE)

    assert set(shared) == set(named)


def test_the_page_of_operations_is_current() -> None:
    page = ROOT / "docs" / "operations.md"
    make = runpy.run_path(str(ROOT / "scripts" / "make_docs.py"))["operations_page"]

    assert page.read_text(encoding="utf-8") == make(catalog().values())
