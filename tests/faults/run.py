"""Runs experiments, some at once, each on a rig of its own; the databases' server is shared."""

import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tests.conftest import SETTINGS
from tests.faults.audit import Audit, audit
from tests.faults.cluster import postgres_cluster
from tests.faults.experiment import Experiment, NotHere
from tests.faults.opening import S3_ACCESS, Servers, open_rig
from tests.faults.process import ROOT, plain_environment, python
from tests.faults.s3 import moto_server
from tests.faults.waiting import Broken, expect


@dataclass(frozen=True)
class Result:
    """How one experiment ended: `audit` is None if it did not come that far."""

    experiment: Experiment
    seconds: float
    audit: Audit | None = None
    failure: str | None = None
    not_here: str | None = None


def run_all(
    experiments: Sequence[Experiment],
    *,
    at_once: int,
    folder: Path,
    is_long: bool,
    report: Callable[[Result], None],
) -> list[Result]:
    """Run them, `at_once` at a time, and report each as it ends."""
    forget_settings()
    see_that_it_starts()
    folder.mkdir(parents=True, exist_ok=True)
    reporting = Lock()
    with ExitStack() as stack:
        servers = Servers(
            stack.enter_context(postgres_cluster()), stack.enter_context(moto_server(folder))
        )

        def one(experiment: Experiment) -> Result:
            result = run_one(experiment, folder / experiment.name, servers, is_long=is_long)
            with reporting:
                report(result)
            return result

        # The pool's threads outlive every experiment, and with them the processes they start.
        with ThreadPoolExecutor(at_once, thread_name_prefix="experiment") as pool:
            return list(pool.map(one, experiments))


def run_one(experiment: Experiment, folder: Path, servers: Servers, *, is_long: bool) -> Result:
    """Hurt, heal, wait until all is at rest, and audit."""
    folder.mkdir(parents=True)
    begun = time.monotonic()
    found: Audit | None = None
    failure = not_here = None
    try:
        with open_rig(experiment.setup, folder, servers, is_long=is_long) as rig:
            experiment.steps(rig)
            rig.heal()
            rig.until_settled()
            rig.let_late_ones_end()
            found = audit(rig)
            broken = found.broken(experiment.allows)
            expect(not broken, "; ".join(broken) or "all promises are kept")
            experiment.rule(rig, found)
    except NotHere as reason:
        not_here = str(reason)
    except Broken as error:
        failure = str(error)
    except Exception:
        failure = traceback.format_exc()
    if failure is None:
        shutil.rmtree(folder, ignore_errors=True)
    return Result(experiment, time.monotonic() - begun, found, failure, not_here)


def see_that_it_starts() -> None:
    """Fail at once on code that does not even import; a crew would start it again for ever."""
    programs = python("-c", "import workers.program, jobs.cli.app, jobs.stability.sandbox.server")
    subprocess.run(programs, cwd=ROOT, env=plain_environment(), check=True)


def forget_settings() -> None:
    """Let no setting of whoever runs the suite in."""
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            del os.environ[name]
    os.environ.update(S3_ACCESS)
