"""The job that Darkroom is for: a mixed manifest at the API's limits, nothing lost or paid twice.

The short form has the same proportions as the long one, and all limits scaled down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional.darkroom import Begun, Darkroom
from tests.functional.ledger import accounts, forget
from tests.functional.manifests import mixed, prompts
from tests.functional.proof import (
    assert_all_made,
    assert_each_was_paid_once,
    assert_limits_were_kept,
    assert_nothing_known_was_paid_twice,
    assert_seeds_are_known,
    read_books,
)
from tests.integration.sandbox.caller import Caller

LONG_SECONDS = 420


@dataclass(frozen=True)
class Form:
    """How large the job is, and how long everything takes."""

    cores: int
    upscales: int
    videos: int
    requests: int
    window_seconds: float
    freeze_seconds: float
    poll_seconds: float
    latency: str
    async_latency: str

    @property
    def size(self) -> int:
        return self.cores + self.upscales + self.videos

    @property
    def rate(self) -> str:
        return f"{self.requests}/{self.window_seconds:g}s"

    @property
    def sandbox_options(self) -> list[str]:
        return [
            *("--rate", self.rate),
            *("--freeze", str(self.freeze_seconds)),
            *("--poll-gap", str(self.poll_seconds)),
            *("--latency", self.latency),
            *("--async-latency", self.async_latency),
        ]

    @property
    def settings(self) -> dict[str, str]:
        return {
            "DARKROOM_RATE": self.rate,
            "DARKROOM_FREEZE_SECONDS": str(self.freeze_seconds),
            "DARKROOM_POLL_SECONDS": str(self.poll_seconds),
        }


SHORT = Form(20, 6, 4, 15, 1.5, 3, 1, "0.5", "2")
REAL = Form(200, 60, 40, 150, 10, 60, 10, "4", "40")

FORMS = [
    pytest.param(SHORT, id="short"),
    pytest.param(
        REAL, id="real limits", marks=[pytest.mark.long, pytest.mark.timeout(2 * LONG_SECONDS)]
    ),
]


@dataclass(frozen=True)
class MainJob:
    """The job, ready to be run."""

    form: Form
    darkroom: Darkroom
    api: Caller

    @property
    def out(self) -> Path:
        return self.darkroom.folder / "out"

    @property
    def command(self) -> list[object]:
        return ["run", "main.csv", "--out", self.out, "--yes"]

    def wait_for_half(self, begun: Begun) -> None:
        """Until pictures are made and videos under way, with much left to do."""
        half = self.form.size // 2
        begun.wait_until(
            lambda: bool(accounts(self.api)) and self.api.ledger()["charged"] >= half,
            "half of the job is paid",
            LONG_SECONDS,
        )


@pytest.fixture(params=FORMS)
def main_job(
    request: pytest.FixtureRequest, darkroom: Darkroom, sandbox: Callable[..., Caller]
) -> MainJob:
    """The job's manifest, with pictures that an earlier batch made."""
    form: Form = request.param
    api = sandbox(*form.sandbox_options)
    user = darkroom.asking(api).having(**form.settings)
    small = ("--operation", "v1/text-to-image", "--set", "engine_id=stable-diffusion-v1-6")
    manifest = prompts(darkroom.folder / "earlier.csv", "a bridge", "a mill")
    text = manifest.read_text().replace("generate/core", "").replace("prompt", "text_prompts")
    manifest.write_text(text)
    made = user.run("run", manifest, *small, "--out", "earlier", "--yes")
    assert made.code == 0, made
    forget(api)
    mixed(
        darkroom.folder / "main.csv",
        cores=form.cores,
        upscales=form.upscales,
        videos=form.videos,
        earlier=sorted((darkroom.folder / "earlier" / "00000").iterdir()),
    )
    return MainJob(form, user, api)


def test_every_row_is_made_and_paid_once_within_the_limits(main_job: MainJob) -> None:
    ended = main_job.darkroom.run(*main_job.command, seconds=LONG_SECONDS)

    assert ended.code == 0, ended
    books = read_books(main_job.darkroom, "main", main_job.api)
    assert_all_made(main_job.darkroom, books, main_job.out, main_job.form.size)
    assert_seeds_are_known(books)
    assert_limits_were_kept(books, most_in_window=main_job.form.requests)
    assert_each_was_paid_once(books)


def test_a_killed_worker_loses_nothing(main_job: MainJob) -> None:
    with main_job.darkroom.running(*main_job.command) as begun:
        main_job.wait_for_half(begun)

        begun.kill_worker()

        ended = begun.end(LONG_SECONDS)
    assert ended.code == 0, ended
    books = read_books(main_job.darkroom, "main", main_job.api)
    assert_all_made(main_job.darkroom, books, main_job.out, main_job.form.size)
    assert_seeds_are_known(books)
    assert_limits_were_kept(books, most_in_window=main_job.form.requests)
    assert_nothing_known_was_paid_twice(books)


def test_a_run_that_was_killed_goes_on_when_it_is_started_again(main_job: MainJob) -> None:
    with main_job.darkroom.running(*main_job.command) as begun:
        main_job.wait_for_half(begun)
        begun.kill()

    ended = main_job.darkroom.run(*main_job.command, seconds=LONG_SECONDS)

    assert ended.code == 0, ended
    books = read_books(main_job.darkroom, "main", main_job.api)
    assert_all_made(main_job.darkroom, books, main_job.out, main_job.form.size)
    assert_seeds_are_known(books)
    assert_limits_were_kept(books, most_in_window=main_job.form.requests)
    assert_nothing_known_was_paid_twice(books)
