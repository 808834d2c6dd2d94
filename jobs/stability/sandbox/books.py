"""Balances, charges and accepted results of all keys.

Every change is a record: written to the journal first, then applied. A start replays the journal
through the same `_apply`, so that the books of a restarted sandbox are those of the killed one.
"""

import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from jobs.stability.sandbox.journal import FileJournal, Journal, NoJournal, Record
from jobs.stability.sandbox.ledger import Account, Charge, Crowd
from jobs.stability.sandbox.plan import Plan
from jobs.stability.sandbox.settings import SandboxSettings
from jobs.stability.sandbox.window import Window

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An asynchronous result: whose it is, what it will show, and when; times since the epoch."""

    id: str
    account: str
    operation: str
    plan: Plan
    ready_at: float
    expires_at: float


class Books:
    """The accounts and the accepted results."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._journal: Journal = FileJournal(settings.state) if settings.state else NoJournal()
        self._accounts: dict[str, Account] = {}
        self._results: dict[str, Accepted] = {}
        self.crowd = Crowd()
        for key in settings.keys:
            self.account(key)
        for record in self._journal.replay():
            self._apply(record)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def account(self, key: str) -> Account:
        """The account of a key, opened at its first request."""
        return self._account_of(sha256(key.encode()).hexdigest())

    def account_at(self, index: int) -> Account | None:
        """The account that was opened as number `index`, from 0."""
        accounts = list(self._accounts.values())
        return accounts[index] if 0 <= index < len(accounts) else None

    def charge(self, account: Account, charge: Charge, accepted: Accepted | None = None) -> bool:
        """Take the credits, or tell that there are too few; keep the result that they pay for."""
        if account.balance_milli < charge.credits_milli:
            return False
        record: Record = {"kind": "charge", "account": account.digest, "charge": asdict(charge)}
        if accepted is not None:
            record["accepted"] = asdict(accepted)
        self._record(record)
        return True

    def note_answered(self, account: Account, charge_id: str) -> None:
        """Write down that the answer to a paid call went out whole."""
        self._record({"kind": "answered", "account": account.digest, "charge_id": charge_id})

    def top_up(self, account: Account, credits_milli: int) -> None:
        """Add credits."""
        self._record({"kind": "credits", "account": account.digest, "credits_milli": credits_milli})

    def forget(self) -> None:
        """Empty all counts; balances and results stay."""
        self._record({"kind": "forget"})

    def result(self, account: Account, result_id: str) -> Accepted | None:
        """A result of this account; another key's, and one that has expired, are unknown."""
        accepted = self._results.get(result_id)
        if accepted is None or accepted.account != account.digest:
            return None
        return accepted if time.time() < accepted.expires_at else None

    def report(self, *, brief: bool = False) -> dict[str, Any]:
        """The whole ledger as JSON."""
        gap = self._settings.poll_gap_seconds
        return {
            "in_flight": self.crowd.now,
            "max_in_flight": self.crowd.largest,
            "keys": [
                account.report(poll_gap_seconds=gap, brief=brief)
                for account in self._accounts.values()
            ],
        }

    def _account_of(self, digest: str) -> Account:
        account = self._accounts.get(digest)
        if account is None:
            account = self._accounts[digest] = Account(
                index=len(self._accounts),
                digest=digest,
                credits_milli=self._settings.credits_milli,
                window=Window(self._settings.rate, self._settings.freeze_seconds),
            )
        return account

    def _record(self, record: Record) -> None:
        self._journal.append(record)
        self._apply(record)

    def _apply(self, record: Record) -> None:
        if record["kind"] == "forget":
            self.crowd.forget()
            for account in self._accounts.values():
                account.forget()
            return
        account = self._account_of(record["account"])
        match record["kind"]:
            case "charge":
                charge = Charge(**record["charge"])
                account.counts.charges[charge.id] = charge
                account.balance_milli -= charge.credits_milli
                if "accepted" in record:
                    accepted = revive(record["accepted"])
                    self._results[accepted.id] = accepted
            case "answered" if record["charge_id"] in account.counts.charges:
                account.counts.answered.add(record["charge_id"])
            case "credits":
                account.balance_milli += record["credits_milli"]


def revive(stored: dict[str, Any]) -> Accepted:
    """An accepted result as it was before it was written down."""
    return Accepted(**{**stored, "plan": Plan(**stored["plan"])})
