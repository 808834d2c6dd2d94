"""The two programs that `darkroom worker` and `darkroom beat` run, until they are told to stop."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from threading import Event, Thread
from types import FrameType

from celery import signals

from jobs.db import Database
from jobs.schema import wait_for_schema
from jobs.settings import Settings
from jobs.telemetry import log
from workers.app import EXECUTE, QUEUE, make_app
from workers.beat import Beat
from workers.in_flight import InFlight
from workers.maintenance.forgetter import keep_forgetting
from workers.maintenance.sweeper import keep_sweeping
from workers.rangefinder import keep_range
from workers.resources import build_resources

#: How long a thread may compute before another one gets its turn, in seconds. The thread that
#: commits for all waits for the database many times in each transaction, and would stand in line
#: behind busy ones each time: Python's own 5 ms made the worker a sixth slower.
SWITCH_SECONDS = 0.0005
#: Threads that take messages from Celery; the jobs themselves have threads of their own.
RECEIVERS = 2


def run_worker(settings: Settings, *, with_beat: bool = False) -> int:
    """Work on jobs until SIGTERM; returns the exit code, 0 if all that was begun was finished."""
    sys.setswitchinterval(SWITCH_SECONDS)
    r = build_resources(settings)
    wait_for_schema(r.database)
    r.keyring.register()
    in_flight = InFlight(r)
    in_flight.start()
    Thread(target=r.pollster.run, args=(r.ended,), name="pollster", daemon=True).start()
    Thread(target=keep_range, args=(r,), name="rangefinder", daemon=True).start()
    Thread(target=keep_forgetting, args=(r,), name="forgetter", daemon=True).start()
    Thread(target=keep_sweeping, args=(r,), name="sweeper", daemon=True).start()
    app = make_app(settings)

    @app.task(name=EXECUTE, ignore_result=True)  # type: ignore[untyped-decorator]
    def run_jobs(ids: Sequence[str]) -> None:
        in_flight.admit(ids)

    def stop(**_: object) -> None:
        r.stopping.set()
        # Whoever asks twice does not want to wait: the leases run out, and nothing is lost.
        signal.signal(signal.SIGTERM, leave_at_once)
        signal.signal(signal.SIGINT, leave_at_once)

    signals.worker_shutting_down.connect(stop, weak=False)
    worker = app.Worker(
        pool="threads",
        concurrency=RECEIVERS,
        queues=[QUEUE],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    )
    if with_beat:
        beat = Beat(settings, r.database)
        Thread(target=beat.run, args=(r.stopping,), name="beat", daemon=True).start()
    log.info("worker_ready", owner=r.owner)
    worker.start()
    finished = in_flight.drain()
    r.ended.set()
    r.commits.close()
    log.info("worker_stopped", finished=finished)
    return 0 if finished else 1


def run_beat(settings: Settings) -> int:
    """Dispatch and do the duties until SIGTERM or SIGINT; returns the exit code."""
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    database = Database(settings.database_address)
    wait_for_schema(database)
    Beat(settings, database).run(stopping)
    database.close()
    return 0


def leave_at_once(number: int, _frame: FrameType | None) -> None:
    """End without waiting for anything."""
    log.warning("worker_left_at_once", signal=number, at=time.time())
    os._exit(128 + number)
