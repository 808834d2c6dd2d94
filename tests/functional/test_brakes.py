"""An operator pauses, resumes and shares out, and is told what stands in the way."""

import pytest

from tests.functional.darkroom import Darkroom


def test_a_pause_is_seen_by_the_doctor_and_ends_with_resume(darkroom: Darkroom) -> None:
    assert darkroom.run("pause").out == "everything paused\n"
    paused = darkroom.run("doctor")

    assert darkroom.run("resume").out == "everything resumed\n"

    assert paused.code == 0
    assert "everything is paused (`darkroom resume`)" in paused.out
    assert "nothing is paused" in darkroom.run("doctor").out


def test_a_project_gets_its_share(darkroom: Darkroom) -> None:
    darkroom.run("projects", "set", "shop", "--weight", "3", "--max-in-flight", "20")
    darkroom.run("projects", "set", "shop", "--max-in-flight", "0")

    found = {row["id"]: row for row in darkroom.run("projects", "list", "--json").json}

    assert (found["shop"]["weight"], found["shop"]["max_in_flight"]) == (3, None)
    assert found["default"]["weight"] == 1


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (("pause", "--project", "nobody"), "there is no project 'nobody'"),
        (("pause", "--batch", "none", "--project", "p"), "say one of --project, --credential"),
        (("projects", "set", "shop"), "say what: --weight or --max-in-flight"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    darkroom: Darkroom, command: tuple[str, ...], complaint: str
) -> None:
    ended = darkroom.run(*command)

    assert ended.code == 2
    assert complaint in ended.err
