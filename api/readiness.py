"""Whether each part that the interface needs answers, and if not, why; nobody waits for long."""

from collections.abc import Callable, Mapping

import anyio
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.parts import Parts
from jobs.errors import DarkroomError, PartUnavailable
from jobs.schema import HEAD, current_revision

#: What a load balancer waits for is mostly 5 s.
CHECK_SECONDS = 2.0
#: Threads for checks: those that hang must not take the threads of requests.
MOST_AT_ONCE = 16

Check = Callable[[Parts], None]


def check_database(parts: Parts) -> None:
    """It answers."""
    with parts.database.reading() as db:
        db.execute(text("SELECT 1"))


def check_migrations(parts: Parts) -> None:
    """The schema is the one that this code needs, or a newer one."""
    with parts.database.reading() as db:
        found = current_revision(db)
    if found is None or found < HEAD:
        raise PartUnavailable(f"the schema is {found}, not {HEAD}: run `darkroom migrate`")


def check_broker(parts: Parts) -> None:
    """It answers."""
    parts.redis.ping()


def check_bucket(parts: Parts) -> None:
    """It lets itself be listed; `darkroom doctor` also writes to it."""
    next(iter(parts.storage.list("readyz/")), None)


CHECKS: Mapping[str, Check] = {
    "database": check_database,
    "migrations": check_migrations,
    "broker": check_broker,
    "bucket": check_bucket,
}


class Readiness:
    """Runs the checks side by side."""

    def __init__(self, parts: Parts, checks: Mapping[str, Check] = CHECKS) -> None:
        self._parts = parts
        self._checks = checks
        self._threads = anyio.CapacityLimiter(MOST_AT_ONCE)

    async def faults(self) -> dict[str, str | None]:
        """Every part, and what is wrong with it."""
        found: dict[str, str | None] = {}

        async def look(name: str, check: Check) -> None:
            found[name] = await self._fault(check)

        async with anyio.create_task_group() as group:
            for name, check in self._checks.items():
                group.start_soon(look, name, check)
        return {name: found[name] for name in self._checks}

    async def _fault(self, check: Check) -> str | None:
        try:
            with anyio.fail_after(CHECK_SECONDS):
                await anyio.to_thread.run_sync(
                    check, self._parts, abandon_on_cancel=True, limiter=self._threads
                )
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:g} s"
        except (SQLAlchemyError, RedisError, OSError) as error:
            # Their own texts hold addresses, and those may hold passwords.
            return type(error).__name__
        except DarkroomError as error:
            return str(error)
        return None
