"""The page of errors has every code of the code base, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from jobs.stability.reply import USER_FAULTS

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "errors.md").read_text()
ROW = re.compile(r"^\| `([a-z_]+)` \| (.*) \|$", re.MULTILINE)
#: What makes a JobError; a Fault's codes tell which field of a job is wrong, and are not here.
MAKERS = {"JobError", "_error"}
#: Rows of the table of codes that say why a job ended: code, class, charged, meaning, remedy.
COLUMNS = 4


def codes() -> Iterator[str]:
    """Every stable code: of exceptions, of job errors, and those in tables."""
    yield from USER_FAULTS.values()
    for package in ("jobs", "workers", "api"):
        for module in (REPOSITORY / package).rglob("*.py"):
            if "sandbox" not in module.parts:
                yield from codes_of(ast.parse(module.read_text()))


def codes_of(tree: ast.Module) -> Iterator[str]:
    """The codes that a module writes down."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in MAKERS:
            given = [k.value for k in node.keywords if k.arg == "code"] or node.args[:1]
            yield from texts(given[0])
        elif isinstance(node, ast.ClassDef):
            yield from class_code(node)
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if {"code", "charged"} <= set(keys):
                yield from texts(node.values[keys.index("code")])


def class_code(node: ast.ClassDef) -> Iterator[str]:
    """The code of an exception's class."""
    for line in node.body:
        targets = line.targets if isinstance(line, ast.Assign) else []
        if isinstance(line, ast.AnnAssign):
            targets = [line.target]
        is_code = any(isinstance(t, ast.Name) and t.id == "code" for t in targets)
        if is_code and isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            yield from texts(line.value)


def name_of(function: ast.expr) -> str:
    """The name that is called."""
    return function.id if isinstance(function, ast.Name) else ""


def texts(node: ast.expr) -> Iterator[str]:
    """The literal text, the two of a choice, or those among the arguments of a look-up."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.Call):
        for argument in node.args:
            yield from texts(argument)


def test_every_code_is_explained_and_no_other() -> None:
    explained = [code for code, _ in ROW.findall(PAGE)]

    assert set(explained) == set(codes())
    assert len(explained) == len(set(explained))


def test_every_explained_code_says_what_to_do() -> None:
    for code, rest in ROW.findall(PAGE):
        columns = [column.strip() for column in rest.split(" | ")]
        assert len(columns) in {COLUMNS - 1, COLUMNS}, code
        assert all(columns), code
