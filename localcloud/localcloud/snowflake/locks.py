"""Table locks: a second writer of a table waits for the first, as in Snowflake, instead of failing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from localcloud.snowflake.errors import sql_error

if TYPE_CHECKING:
    from collections.abc import Callable


class Holder(Protocol):
    """A session that may hold locks."""

    def idle_seconds(self) -> float:
        """Seconds since its last statement ended; 0 while one runs."""

    def give_up_transaction(self) -> bool:
        """Roll its open transaction back for a waiting session; False if it has become busy."""


@dataclass(frozen=True, order=True)
class TableName:
    """A fully qualified table, as Snowflake stores the names."""

    database: str
    schema: str
    name: str


class TableLocks:
    """Who may write which table, until the end of the writer's transaction.

    DuckDB lets the second of two concurrent writers fail; Snowflake lets it wait. A holder that has
    been idle inside its transaction for `idle_limit` seconds counts as dead (a client that was
    killed says no goodbye over HTTP) and loses its transaction to whoever waits.

    Args:
        clock: Monotonic seconds.
        wait_limit: Longest wait for a lock, in seconds.
        idle_limit: Idle seconds after which a holder may be pushed aside.
    """

    def __init__(self, clock: Callable[[], float], *, wait_limit: float = 45.0, idle_limit: float = 5.0) -> None:
        self._clock = clock
        self._wait_limit = wait_limit
        self._idle_limit = idle_limit
        self._changed = threading.Condition()
        self._holders: dict[TableName, Holder] = {}

    def acquire(self, table: TableName, session: Holder) -> None:
        """Wait until `session` may write `table`.

        Raises:
            ProgrammingError: Another session kept the table for longer than the wait limit
                (Snowflake's error 625).
        """
        deadline = self._clock() + self._wait_limit
        with self._changed:
            while not self._take(table, session):
                left = deadline - self._clock()
                if left <= 0:
                    raise sql_error(
                        f"Statement aborted: another transaction has held a lock on "
                        f"{table.database}.{table.schema}.{table.name} for {self._wait_limit:.0f} seconds.",
                        625,
                        "57014",
                    )
                self._changed.wait(min(left, 0.25))

    def release(self, session: Holder) -> None:
        """Let go of everything that `session` holds."""
        with self._changed:
            held = [table for table, holder in self._holders.items() if holder is session]
            for table in held:
                del self._holders[table]
            if held:
                self._changed.notify_all()

    def _take(self, table: TableName, session: Holder) -> bool:
        holder = self._holders.get(table)
        if holder is not None and holder is not session:
            if holder.idle_seconds() < self._idle_limit or not holder.give_up_transaction():
                return False
            for other in [name for name, owner in self._holders.items() if owner is holder]:
                del self._holders[other]
        self._holders[table] = session
        return True
