"""`darkroom run` as a person uses it, and what can be read afterwards."""

from collections.abc import Callable
from pathlib import Path

from jobs.batches import NewBatch, open_batch
from jobs.cli.home import prepare
from jobs.manifest import Expansion, fingerprint
from jobs.models import DEFAULT_PROJECT
from tests.functional.darkroom import Darkroom
from tests.functional.ledger import accounts
from tests.functional.manifests import prompts
from tests.functional.proof import (
    assert_all_made,
    assert_each_was_paid_once,
    assert_nothing_known_was_paid_twice,
    read_books,
)
from tests.integration.sandbox.caller import Caller


def test_refused_and_filtered_prompts_are_told_apart_and_can_be_run_again(
    darkroom: Darkroom, api: Caller
) -> None:
    user = darkroom.asking(api)
    manifest = prompts(darkroom.folder / "mix.csv", "a lake", "nsfw-refused", "nsfw-blurred")

    ended = user.run("run", manifest, "--out", "out", "--yes", "--json")

    assert ended.code == 1
    assert ended.json["counts"] == {"succeeded": 1, "failed": 1, "filtered": 1}
    by_row = {job["row"]: job for job in user.jobs("--batch", "mix")}
    assert by_row[1]["error"]["class"] == "moderation"
    assert by_row[1]["credits"]["charged"] == 0
    assert by_row[2]["outputs"][0]["finish_reason"] == "CONTENT_FILTERED"
    assert (darkroom.folder / "out" / "00000" / "000002-0.png").exists()

    told = user.run("explain", by_row[1]["id"]).out
    assert "content_moderation" in told
    assert "attempt 1" in told
    assert user.run("batches").out.count("mix") == 1
    assert len(user.run("jobs").out.splitlines()) == 3

    again = user.run("run", "out/failed.jsonl", "--out", "again", "--yes", "--json")
    assert again.code == 1
    assert again.json["counts"] == {"failed": 1}


def test_options_multiply_the_rows(darkroom: Darkroom, api: Caller) -> None:
    manifest = prompts(darkroom.folder / "one.csv", "a lake")
    options = ("--set", "seed=7", "--matrix", "output_format=png,jpeg", "--repeat", 2)

    user = darkroom.asking(api)
    ended = user.run("run", manifest, "--out", "out", "--yes", *options)

    assert ended.code == 0, ended
    books = read_books(user, "one", api)
    assert_all_made(user, books, darkroom.folder / "out", 4)
    assert {job["seed"] for job in books.jobs} == {7}
    types = sorted(job["outputs"][0]["content_type"] for job in books.jobs)
    assert types == ["image/jpeg", "image/jpeg", "image/png", "image/png"]


def test_a_budget_holds_the_rest_until_it_is_raised(darkroom: Darkroom, api: Caller) -> None:
    user = darkroom.asking(api)
    manifest = prompts(darkroom.folder / "five.csv", *(f"view {n}" for n in range(5)))
    command = ("run", manifest, "--out", "out", "--yes", "--json")

    held = user.run(*command, "--budget", 7)
    again = user.run(*command)
    raised = user.run(*command, "--budget", 15)

    assert (held.code, again.code) == (1, 1)
    assert held.json["counts"] == again.json["counts"] == {"succeeded": 2, "held": 3}
    assert held.json["credits"]["spent"] == 6
    assert raised.code == 0, raised
    books = read_books(user, "five", api)
    assert_all_made(user, books, darkroom.folder / "out", 5)
    assert_each_was_paid_once(books)


def test_what_refused_rows_did_not_cost_is_left_to_the_others(
    darkroom: Darkroom, api: Caller
) -> None:
    texts = ("nsfw-refused", "nsfw-refused too", "a lake", "a mill")
    manifest = prompts(darkroom.folder / "four.csv", *texts)
    command = ("run", manifest, "--out", "out", "--yes", "--json", "--budget", 6)

    ended = darkroom.asking(api).run(*command)

    assert ended.json["counts"] == {"succeeded": 2, "failed": 2}, ended


def test_the_same_command_goes_on_after_ctrl_c(
    darkroom: Darkroom, sandbox: Callable[..., Caller]
) -> None:
    api = sandbox("--latency", "0.5")
    user = darkroom.asking(api).having(DARKROOM_RATE="8/1s")
    manifest = prompts(darkroom.folder / "some.csv", *(f"view {n}" for n in range(16)))
    command = ("run", manifest, "--out", "out", "--yes")

    with user.running(*command) as begun:
        begun.wait_until(
            lambda: bool(accounts(api)) and accounts(api)[0]["charged"] >= 2, "some are paid"
        )
        begun.interrupt()
        interrupted = begun.end()
    paid = api.ledger()["charged"]
    ended = user.run(*command)

    assert interrupted.code == 1
    assert "the same command goes on from here" in interrupted.out
    assert paid < 16
    assert ended.code == 0, ended
    books = read_books(user, "some", api)
    assert_all_made(user, books, darkroom.folder / "out", 16)
    assert_nothing_known_was_paid_twice(books)
    assert_each_was_paid_once(books)


def test_a_name_or_a_folder_that_is_taken_is_refused_before_anything_is_paid(
    darkroom: Darkroom, api: Caller
) -> None:
    user = darkroom.asking(api)
    first = prompts(darkroom.folder / "first.csv", "a lake")
    assert user.run("run", first, "--out", "out", "--yes").code == 0
    second = prompts(darkroom.folder / "second.csv", "a mill")

    same_name = user.run("run", second, "--name", "first", "--out", "other", "--yes")
    same_folder = user.run("run", second, "--out", "out", "--yes")

    assert same_name.code == same_folder.code == 2
    assert "another manifest" in same_name.err
    assert "another batch" in same_folder.err
    assert api.ledger()["charged"] == 1


def test_a_batch_that_was_canceled_while_it_was_loaded_is_not_loaded_to_its_end(
    darkroom: Darkroom, api: Caller
) -> None:
    user = darkroom.asking(api)
    manifest = prompts(darkroom.folder / "few.csv", "a lake", "a mill")
    open_unloaded(user, manifest)
    assert user.run("batches", "cancel", "few").code == 0

    again = user.run("run", manifest, "--out", "out", "--yes")

    assert again.code == 2
    assert len(again.complaints) == 1
    assert "the batch 'few' is canceled" in again.err
    assert user.jobs() == []
    assert sum(account["charged"] for account in accounts(api)) == 0


def open_unloaded(user: Darkroom, manifest: Path) -> None:
    """What is left of a run that was killed before its first rows were in."""
    expansion = Expansion(operation=None, set={}, matrix={}, repeat=1)
    wanted = NewBatch(
        name=manifest.stem,
        fingerprint=fingerprint(manifest, expansion),
        size=2,
        on_uncertain="retry",
        about={},
    )
    database = prepare(user.as_settings)
    with database.transaction() as db:
        open_batch(db, wanted, database.now(), project_id=DEFAULT_PROJECT)
    database.close()


def test_a_batch_that_was_canceled_whole_stays_so_when_it_is_run_again(
    darkroom: Darkroom, api: Caller
) -> None:
    user = darkroom.asking(api)
    manifest = prompts(darkroom.folder / "few.csv", "a lake", "a mill")
    command = ("run", manifest, "--out", "out", "--yes", "--json")
    assert user.run(*command, "--budget", 0).json["counts"] == {"held": 2}
    assert user.run("batches", "cancel", "few").out.startswith("2 canceled")

    again = user.run(*command)

    assert again.code == 1
    assert again.json["counts"] == {"canceled": 2}
    assert sum(account["charged"] for account in accounts(api)) == 0


def test_a_single_job_is_submitted_and_saved(darkroom: Darkroom, api: Caller) -> None:
    user = darkroom.asking(api)
    assert user.run("submit", "generate/core", "prompt=a lake", "--out", "a.png").code == 0

    ended = user.run(
        *("submit", "control/sketch", "prompt=a lake", "image=@a.png"),
        *("--wait", "--out", "made/b.png", "--json"),
    )

    assert ended.code == 0, ended
    assert ended.json["state"] == "succeeded"
    assert (darkroom.folder / "made" / "b.png").stat().st_size == ended.json["outputs"][0]["bytes"]
    refused = user.run("submit", "generate/core", "prompt=nsfw-refused", "--wait")
    assert refused.code == 1
    assert "content_moderation" in refused.out
