import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.faults.process import Process, python


def test_a_process_is_wanted_only_once_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches over it in between would start it a second time, and count a death."""
    process = Process("idle", python("-c", "input()"), folder=tmp_path, environment={})
    wanted_before: list[bool] = []
    start = subprocess.Popen

    def popen(*args: Any, **named: Any) -> "subprocess.Popen[bytes]":
        wanted_before.append(process.is_wanted)
        return start(*args, **named)

    monkeypatch.setattr(subprocess, "Popen", popen)
    process.start()
    process.kill()

    assert wanted_before == [False]
    assert process.is_wanted
