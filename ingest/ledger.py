"""The ledger: how each (source, day) ended the last time it was asked for.

A day is open until its state is `ok` or `empty-expected`. States are written when a fetch has
closed, well or badly; a day that was never closed has no row and is open as well.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.catalogue import ledger


class State(StrEnum):
    """How a partition stands."""

    OK = "ok"
    EMPTY_EXPECTED = "empty-expected"
    EMPTY_SUSPECT = "empty-suspect"
    PARTIAL = "partial"
    FAILED = "failed"


CLOSED = (State.OK, State.EMPTY_EXPECTED)


class Partition(NamedTuple):
    """One (source, day) of the ledger."""

    source: str
    day: str
    state: State
    received: int
    reason: str | None = None

    @property
    def label(self) -> str:
        """The state as people read it: `ok(24)`, `failed(timed out)`."""
        if self.state is State.OK:
            return f"ok({self.received})"
        return f"{self.state}({self.reason})" if self.reason else str(self.state)


def judge(source: str, day: str, received: int, failure: str | None) -> Partition:
    """The state of a day that gave `received` entries and ended in `failure` or well.

    Daily Papers has next to nothing on Saturdays and Sundays; an empty weekday is suspect.
    """
    if failure:
        state = State.PARTIAL if received else State.FAILED
        return Partition(source, day, state, received, failure)
    if received:
        return Partition(source, day, State.OK, received)
    if date.fromisoformat(day).weekday() >= 5:
        return Partition(source, day, State.EMPTY_EXPECTED, 0)
    return Partition(source, day, State.EMPTY_SUSPECT, 0, "no entries on a weekday")


def close(db: sa.Connection, partition: Partition) -> None:
    """Write how the partition ended; the newest probe stands."""
    statement = insert(ledger)
    fresh = {name: statement.excluded[name] for name in ("state", "received", "reason")}
    row = {**partition._asdict(), "state": str(partition.state)}
    db.execute(statement.on_conflict_do_update(set_=fresh), row)


def partitions(db: sa.Connection, source: str | None = None) -> list[Partition]:
    """Every row, oldest day first."""
    query = sa.select(ledger).order_by(ledger.c.source, ledger.c.day)
    if source:
        query = query.where(ledger.c.source == source)
    return [
        Partition(r.source, r.day, State(r.state), r.received, r.reason) for r in db.execute(query)
    ]


def days_between(first: str, last: str) -> list[str]:
    """Every day from `first` to `last`, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=n)) for n in range((end - start).days + 1)]


def open_days(known: list[Partition], night: str, window: int) -> list[str]:
    """The days to ask for on `night`: the last `window`, and every one before that is still open.

    The window is asked again even where it is closed, since repositories, keywords and upvotes
    arrive late. Days before the first one in the ledger were never wanted.
    """
    first = str(date.fromisoformat(night) - timedelta(days=window - 1))
    wanted = set(days_between(first, night))
    if known:
        closed = {p.day for p in known if p.state in CLOSED}
        wanted |= set(days_between(min(p.day for p in known), night)) - closed
    return sorted(wanted)
