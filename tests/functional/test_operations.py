"""Every operation of the catalog, once, from a manifest to a file."""

from pathlib import Path
from typing import Any

from jobs.catalog.loader import addressed
from jobs.catalog.operation import Kind, Operation, Parameter
from tests.functional.darkroom import Darkroom
from tests.functional.manifests import write_jsonl, write_picture
from tests.functional.proof import (
    assert_all_made,
    assert_each_was_paid_once,
    assert_seeds_are_known,
    read_books,
)
from tests.integration.sandbox.caller import Caller

#: What the ties of an operation ask for beyond its required parameters.
EXTRAS: dict[str, dict[str, Any]] = {
    "edit/outpaint": {"left": 64},
    "edit/replace-background-and-relight": {"background_prompt": "a beach"},
    "v2alpha/stable-image/inpaint": {"search_prompt": "the boat"},
    "v1/image-to-image/masking": {"mask_source": "INIT_IMAGE_ALPHA"},
}


def test_every_operation_is_made_stored_and_paid_once(darkroom: Darkroom, api: Caller) -> None:
    rows = [smallest_row(darkroom.folder, operation) for operation in addressed().values()]
    manifest = write_jsonl(darkroom.folder / "all.jsonl", rows)
    user = darkroom.asking(api).having(DARKROOM_POLL_SECONDS="0.2", DARKROOM_RATE="1000/1s")

    ended = user.run("run", manifest, "--out", "out", "--yes")

    assert ended.code == 0, ended
    books = read_books(user, "all", api)
    assert_all_made(user, books, darkroom.folder / "out", len(addressed()))
    assert_seeds_are_known(books)
    assert_each_was_paid_once(books)
    paid = {charge["operation"] for charge in books.charges.values()}
    assert paid == set(addressed())


def smallest_row(folder: Path, operation: Operation) -> dict[str, Any]:
    """No more than the operation demands."""
    needed = {p.name: value_for(folder, p) for p in operation.parameters if p.required}
    return {"operation": operation.name, **needed, **EXTRAS.get(operation.name, {})}


def value_for(folder: Path, parameter: Parameter) -> str:
    """Something that the parameter takes; for a file, the path of a picture."""
    if parameter.kind is Kind.FILE:
        rule = parameter.image
        width, height = rule.sizes[0] if rule and rule.sizes else (256, 192)
        return write_picture(folder / f"{width}x{height}.png", width, height).name
    return str(parameter.values[0]) if parameter.values else "a quiet lake"
