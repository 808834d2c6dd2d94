"""What the style guide promises, counted: imports point downward, and nothing grows too large."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.settings import Settings, read_settings

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("jobs", "workers", "api")
MODULES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
#: A migration is a list of tables, written once and never changed: data.
CODE = [module for module in MODULES if "versions" not in module.parts]

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}


def name_of(module: Path) -> str:
    return module.relative_to(REPOSITORY).as_posix()


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_count() -> None:
    assert {module.relative_to(REPOSITORY).parts[0] for module in MODULES} == set(PACKAGES)


def test_imports_point_downward() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    finished = subprocess.run(
        [linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("module", CODE, ids=name_of)
def test_a_module_is_short(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("module", CODE, ids=name_of)
def test_a_function_is_short(module: Path) -> None:
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(module)}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_named_for_what_it_holds(module: Path) -> None:
    names = {part.removesuffix(".py") for part in module.relative_to(REPOSITORY).parts}

    assert not names & VAGUE


def test_the_example_of_settings_has_every_setting_with_its_default() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    shown = dict(line[2:].split("=", 1) for line in lines if re.match(r"# [A-Z0-9_]+=", line))

    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    defaults = {name: "false" if value is False else value for name, value in defaults.items()}
    known = {name: str(default) for name, default in defaults.items() if default not in {None, ""}}
    known["DARKROOM_HOME"] = "./.darkroom"
    known["STABILITY_API_HOST"] = read_settings(_env_file=None).api_host

    assert {name: shown.get(name) for name in defaults} == {**dict.fromkeys(defaults, ""), **known}
    assert {name for name in shown if not name.startswith("AWS_")} == set(defaults)
