"""The API key, looked for in everything that a troubled run leaves behind."""

from tests.faults.audit import Audit
from tests.faults.experiment import Experiment
from tests.faults.process import Process, python
from tests.faults.rig import Rig
from tests.faults.setup import KEYS, Setup
from tests.faults.waiting import expect

#: The key's own part; its beginning is the same for all.
SECRETS = [key.removeprefix("sk-canary-").encode() for key in KEYS]


def steps(rig: Rig) -> None:
    """Meet every kind of error, with debug logs, and export what came of it."""
    rig.upstream.fault(
        status_500=0.1, reset_after_charge=0.1, truncate=0.1, status_401="0.1x1", garbage=0.1
    )
    rig.submit(rig.count(24, 200))
    rig.until(lambda: rig.done() >= 8, "a part is done")
    rig.broker.kill()
    rig.broker.start()


def rule(rig: Rig, found: Audit) -> None:
    """It is nowhere."""
    export = Process(
        "export",
        python("-m", "jobs", "export", "faults", "--out", str(rig.folder / "dataset")),
        folder=rig.folder,
        environment=rig.environment,
    )
    export.start()
    rig.until(lambda: not export.is_running, "the dataset is written")
    expect(export.returncode == 0, "the export ended with 0")
    heads = [rig.storage.head(key) for key in rig.storage.list("")]
    expect(bool(heads), "there are objects to look at")
    written = {
        "database": rig.postgres.dump(),
        "Redis": rig.broker.dump(),
        "bucket": "\n".join(map(repr, heads)).encode(),
    }
    # The sandbox is no part of what users run, and its command line names its keys.
    files = [path for path in rig.folder.rglob("*") if path.is_file()]
    written |= {str(path.relative_to(rig.folder)): path.read_bytes() for path in files}
    found_in = [name for name, text in written.items() if any(s in text for s in SECRETS)]
    expect(not found_in, f"no key in {', '.join(found_in) or 'anything written'}")


EXPERIMENTS = [
    Experiment(
        name="secrets",
        promise="No key is in the database, Redis, the bucket, the logs or a dataset.",
        steps=steps,
        rule=rule,
        setup=Setup(keys=2, settings={"DARKROOM_LOG": "debug", "DARKROOM_BALANCE_SECONDS": "2"}),
    )
]
