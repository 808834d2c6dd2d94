"""What the sandbox remembers of each key, also after it was killed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from jobs.stability.sandbox.books import Accepted, Books
from jobs.stability.sandbox.ledger import Account, Charge
from jobs.stability.sandbox.plan import Plan
from jobs.stability.sandbox.settings import SandboxSettings

Open = Callable[[SandboxSettings], Books]

PLAN = Plan(media="image", form="png", width=64, height=64, look="ab" * 32, seed=7)


@pytest.fixture
def open_books() -> Iterator[Open]:
    """Opens books, and closes them after the test."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(closing(Books(settings)))


def make_charge(charge_id: str = "c1", credits_milli: int = 3_000) -> Charge:
    return Charge(
        id=charge_id,
        operation="generate/core",
        credits_milli=credits_milli,
        seed=7,
        at=0.0,
        prompt_sha256=None,
        inputs_sha256="",
        client_ref="attempt-1",
    )


def make_accepted(account: Account, *, expires_at: float = 9e9) -> Accepted:
    return Accepted(
        id="r1",
        account=account.digest,
        operation="image-to-video",
        plan=PLAN,
        ready_at=1.0,
        expires_at=expires_at,
    )


def test_a_charge_is_taken_from_the_balance_and_listed(open_books: Open) -> None:
    books = open_books(SandboxSettings(credits_milli=5_000))
    account = books.account("key")

    paid = books.charge(account, make_charge())

    report = books.report()["keys"][0]
    assert paid
    assert account.balance_milli == 2_000
    assert report["charged_milli"] == 3_000
    assert [charge["client_ref"] for charge in report["charges"]] == ["attempt-1"]


def test_a_balance_that_does_not_suffice_is_left_alone(open_books: Open) -> None:
    books = open_books(SandboxSettings(credits_milli=2_999))
    account = books.account("key")

    paid = books.charge(account, make_charge())

    assert not paid
    assert account.balance_milli == 2_999
    assert books.report()["keys"][0]["charges"] == []


def test_a_result_is_unknown_to_another_key(open_books: Open) -> None:
    books = open_books(SandboxSettings())
    owner, stranger = books.account("mine"), books.account("theirs")
    accepted = make_accepted(owner)

    books.charge(owner, make_charge(), accepted)

    assert books.result(owner, "r1") == accepted
    assert books.result(stranger, "r1") is None


def test_an_expired_result_is_unknown(open_books: Open) -> None:
    books = open_books(SandboxSettings())
    owner = books.account("mine")

    books.charge(owner, make_charge(), make_accepted(owner, expires_at=2.0))

    assert books.result(owner, "r1") is None


def test_a_restart_finds_balances_charges_and_results_as_they_were(
    tmp_path: Path, open_books: Open
) -> None:
    settings = SandboxSettings(state=tmp_path)
    before = open_books(settings)
    account = before.account("key")
    before.charge(account, make_charge("c1"), make_accepted(account))
    before.charge(account, make_charge("c2"))
    before.note_answered(account, "c1")
    before.top_up(account, 500)

    after = open_books(settings)

    assert after.report() == before.report()
    assert after.account("key").balance_milli == 10_000_000 - 6_000 + 500
    assert after.result(after.account("key"), "r1") == make_accepted(account)


def test_a_line_that_a_kill_cut_short_spoils_no_other(tmp_path: Path, open_books: Open) -> None:
    settings = SandboxSettings(state=tmp_path)
    first = open_books(settings)
    first.charge(first.account("key"), make_charge("c1"))
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind":"cha')

    second = open_books(settings)
    second.charge(second.account("key"), make_charge("c2"))
    third = open_books(settings)

    assert set(third.account("key").counts.charges) == {"c1", "c2"}


def test_emptying_the_ledger_keeps_balances_and_results_also_over_a_restart(
    tmp_path: Path, open_books: Open
) -> None:
    settings = SandboxSettings(state=tmp_path)
    books = open_books(settings)
    account = books.account("key")
    books.charge(account, make_charge(), make_accepted(account))

    books.forget()

    for known in (books, open_books(settings)):
        assert known.report()["keys"][0]["charges"] == []
        assert known.account("key").balance_milli == 9_997_000
        assert known.result(known.account("key"), "r1") is not None


def test_no_key_is_written_to_the_journal_or_the_report(tmp_path: Path, open_books: Open) -> None:
    books = open_books(SandboxSettings(state=tmp_path))
    books.charge(books.account("sk-very-secret"), make_charge())

    written = (tmp_path / "journal.jsonl").read_text()

    assert "c1" in written
    assert "sk-very-secret" not in written
    assert "sk-very-secret" not in str(books.report())


def test_poll_gaps_are_measured_for_each_result_alone(open_books: Open) -> None:
    account = open_books(SandboxSettings()).account("key")
    for result_id, arrived in (("a", 0.0), ("b", 1.0), ("a", 10.0), ("b", 10.5), ("b", 20.5)):
        account.note_poll(result_id, arrived)

    report = account.report(poll_gap_seconds=10)

    assert report["poll_count"] == 5
    assert report["poll_gaps_too_short"] == 1
    assert report["polls"]["a"]["min_gap"] == pytest.approx(10.0)
    assert report["polls"]["b"]["min_gap"] == pytest.approx(9.5)
