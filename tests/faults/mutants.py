"""`python -m tests.faults.mutants`: break the code on purpose; the suite has to notice.

Each mutant is a copy of the source tree with one promise's mechanism taken out. It counts as caught
if one of the experiments that guard that promise fails on it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.process import ROOT, plain_environment
from tests.faults.report import row
from tests.faults.written import write_between

PACKAGES = ("jobs", "workers", "tests")
FAILED = re.compile(r"^FAILED +(\S+).*\n +(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Edit:
    """One text in one file, put in the place of another."""

    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Change the copy; raises ValueError if the code does not look like that any more."""
        path = tree / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} does not hold just once: {self.old!r}")
        path.write_text(text.replace(self.old, self.new), "utf-8")


@dataclass(frozen=True)
class Mutant:
    """What is broken, and which experiments are to notice."""

    name: str
    edits: Sequence[Edit]
    guards: Sequence[str]


INTENT_LAST = """\
                sent = replace(
                    claim,
                    attempt_id=new_id(),
                    attempt_number=claim.attempts + 1,
                    credential_id=slot.credential_id,
                )
                outcome = send(r, operation, sent, body, key, slot, connect_seconds)
                begun = begin(r, replace(claim, attempt_id=sent.attempt_id), slot)
                assert begun is not None
"""

INTENT_FIRST = """\
                begun = begin(r, claim, slot)
                if begun is None:
                    r.limiter.drop(slot)
                    return Snoozed(AWAY_DELAY)
                outcome = send(r, operation, begun, body, key, slot, connect_seconds)
"""

FENCE = """\
            JOB.c.state == bindparam("old_state"),
            JOB.c.fence == bindparam("old_fence"),
"""

FENCE_VALUES = """\
            "old_state": move.claim.state,
            "old_fence": move.claim.fence,
"""

BEHIND = '''\
def behind(do: Any) -> Any:
    """Let it be done some time, by somebody."""
    return lambda *args, **named: Thread(target=do, args=args, kwargs=named).start()


def object_metadata('''

MUTANTS = (
    Mutant(
        "the intent is committed after the call",
        (
            Edit("workers/executor.py", INTENT_FIRST, INTENT_LAST),
            Edit(
                "workers/executor.py",
                "from jobs.models import INTERACTIVE\n",
                "from jobs.models import INTERACTIVE, new_id\n",
            ),
            Edit(
                "jobs/queue/attempts.py",
                "attempt_id=new_id()",
                "attempt_id=self.claim.attempt_id or new_id()",
            ),
        ),
        ("crash-sync-after-post", "crash-async-id-received"),
    ),
    Mutant(
        "a change of state is not fenced",
        (
            Edit(
                "jobs/queue/moves.py",
                "JOB.c.id == claim.id, JOB.c.state == claim.state, JOB.c.fence == claim.fence",
                "JOB.c.id == claim.id",
            ),
            Edit("jobs/queue/together.py", FENCE, ""),
            Edit("jobs/queue/together.py", FENCE_VALUES, ""),
        ),
        ("frozen-worker-retried", "frozen-worker-async"),
    ),
    Mutant(
        "the outcome is committed before the upload",
        (
            Edit("workers/delivery.py", "r.storage.put(", "behind(r.storage.put)("),
            Edit(
                "workers/delivery.py",
                'with piece.path.open("rb") as source:',
                "for source in [io.BytesIO(piece.path.read_bytes())]:",
            ),
            Edit("workers/delivery.py", "def object_metadata(", BEHIND),
            Edit(
                "workers/delivery.py",
                "import base64\n",
                "import base64\nimport io\nfrom threading import Thread\nfrom typing import Any\n",
            ),
        ),
        ("bucket-refuses", "crash-sync-spooled"),
    ),
    Mutant(
        "the paid call is repeated below us",
        (
            Edit(
                "jobs/stability/client.py",
                "FreshAdapter(max_retries=0)",
                "FreshAdapter(max_retries=Retry(total=2, allowed_methods=None))",
            ),
            # As it is, the body can be read only once, which is a second lock on the same door.
            Edit(
                "jobs/stability/client.py",
                "request.body = body  #",
                'request.body = b"".join(iter(lambda: body.read(65536), b""))  #',
            ),
            Edit(
                "jobs/stability/client.py",
                "from requests.adapters import HTTPAdapter\n",
                "from requests.adapters import HTTPAdapter\nfrom urllib3.util import Retry\n",
            ),
        ),
        ("api-reset-after-charge", "api-hangs"),
    ),
    Mutant(
        "spool and bucket are not looked into after a crash",
        (
            Edit(
                "workers/recovery.py",
                "r.spool.find(claim.attempt_id) is not None or find_stored(r, claim) is not None",
                "False",
            ),
        ),
        ("crash-sync-spooled", "crash-sync-uploaded"),
    ),
    Mutant(
        "an answer that is learned twice is paid twice",
        (
            Edit(
                "jobs/queue/learning.py",
                "now})\n    return False\n",
                "now})\n    return True\n",
            ),
        ),
        ("frozen-worker-sync",),
    ),
    Mutant(
        "a lease that ended while all stood still is taken for a death",
        (
            Edit(
                "workers/maintenance/rescuer.py",
                "is_patient=is_patient",
                "is_patient=False",
            ),
        ),
        ("all-stopped-sqlite", "all-stopped-postgres"),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """Which experiment noticed, and what it said; None if none did."""

    mutant: Mutant
    caught_by: str | None
    said: str = ""


def hunt(mutant: Mutant) -> Verdict:
    """Break a copy, and run the guards on it."""
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder)
        for package in PACKAGES:
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, tree / package, ignore=skipped)
        for edit in mutant.edits:
            edit.apply(tree)
        run = subprocess.run(
            [sys.executable, "-m", "tests.faults", *mutant.guards],
            cwd=tree,
            env=plain_environment() | {"PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
        )
    found = FAILED.search(run.stdout)
    if found is None:
        return Verdict(mutant, None, run.stderr[-500:])
    return Verdict(mutant, found[1], found[2].removeprefix("not so: "))


def cells(verdict: Verdict) -> list[str]:
    """One mutant as a row."""
    if verdict.caught_by is None:
        return [verdict.mutant.name, "**not caught**", verdict.said]
    return [verdict.mutant.name, f"`{verdict.caught_by}`", verdict.said]


def main() -> int:
    """Hunt all of them; 1 if one got away."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md's table")
    given = parser.parse_args()
    verdicts = []
    for mutant in MUTANTS:
        verdicts.append(hunt(mutant))
        sys.stdout.write(row(cells(verdicts[-1])) + "\n")
        sys.stdout.flush()
    if given.write:
        head = [row(["what was broken", "noticed by", "what it said"]), row(["---"] * 3)]
        write_between("mutants", [*head, *(row(cells(verdict)) for verdict in verdicts)])
    return 0 if all(verdict.caught_by for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
