"""What `compose.yaml`, `Procfile` and `.env.example` promise to those who run it."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from jobs.cli.app import app
from jobs.settings import Settings

REPOSITORY = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service.get("image") == "darkroom"
}
PROCFILE = dict(
    line.split(": ", 1)
    for line in (REPOSITORY / "Procfile").read_text().splitlines()
    if not line.startswith("#")
)
EXAMPLE = set(re.findall(r"^# ([A-Z0-9_]+)=", (REPOSITORY / ".env.example").read_text(), re.M))
COMMANDS = [
    *(service["command"] for service in OURS.values()),
    *map(shlex.split, PROCFILE.values()),
]


def test_compose_runs_every_process_of_the_procfile_and_the_migrations() -> None:
    run = {service["command"][1] for service in OURS.values()}

    assert run == {command.split()[1] for command in PROCFILE.values()} | {"migrate", "sandbox"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_run_is_a_command_with_such_options(command: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    program, name, *options = command

    assert program == "darkroom"
    if name == "sandbox":
        # Its options are its own program's.
        return
    known = {option for param in group.commands[name].params for option in param.opts}
    assert {option for option in options if option.startswith("--")} <= known


@pytest.mark.parametrize("name", OURS)
def test_every_process_has_the_same_servers_and_only_known_settings(name: str) -> None:
    environment = OURS[name]["environment"]

    assert set(environment) <= EXAMPLE
    assert {"DATABASE_URL", "REDIS_URL", "S3_BUCKET", "S3_ENDPOINT_URL"} <= set(environment)
    assert environment == OURS["worker"]["environment"]


def test_whoever_signs_webhooks_shows_the_same_secret() -> None:
    home = "home:/var/lib/darkroom"

    assert home in OURS["api"]["volumes"]
    assert home in OURS["beat"]["volumes"]


def test_nobody_starts_before_the_migrations() -> None:
    for name in set(OURS) - {"migrate", "sandbox"}:
        migrated = OURS[name]["depends_on"]["migrate"]
        assert migrated == {"condition": "service_completed_successfully"}


def test_every_name_in_compose_is_defined() -> None:
    services, volumes = COMPOSE["services"], COMPOSE["volumes"]

    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        mounted = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert mounted <= set(volumes)


def test_the_example_lists_every_setting() -> None:
    assert {name.upper() for name in Settings.model_fields} <= EXAMPLE
