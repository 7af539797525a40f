"""The ledger: how each (source, day) ended the last time it was asked for.

A day is open until its state is `ok` or `empty-expected`. States are written when a fetch has
closed, well or badly; a day that was never closed has no row and is open as well. A day that was
fetched whole stays so, even if a later refresh of it fails; the refresh is then still owed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from statistics import median
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.catalogue import ledger


class State(StrEnum):
    """How a partition stands."""

    OK = "ok"
    EMPTY_EXPECTED = "empty-expected"
    EMPTY_SUSPECT = "empty-suspect"
    STALE = "stale"
    PARTIAL = "partial"
    FAILED = "failed"


CLOSED = (State.OK, State.EMPTY_EXPECTED)
DOUBTED = (State.EMPTY_SUSPECT, State.STALE)

WEEKS = 8
"""How far back the same weekdays tell how much a day usually has."""


class Partition(NamedTuple):
    """One (source, day) of the ledger."""

    source: str
    day: str
    state: State
    received: int
    reason: str | None = None
    night: str | None = None
    """The last night on which it was fetched whole."""

    @property
    def label(self) -> str:
        """The state as people read it: `ok(24)`, `failed(timed out)`."""
        if self.state is State.OK:
            return f"ok({self.received})"
        return f"{self.state}({self.reason})" if self.reason else str(self.state)


def judge(
    source: str,
    day: str,
    received: int,
    failure: str | None,
    *,
    expected_empty: bool = False,
    repeats: str | None = None,
) -> Partition:
    """The state of a day that gave `received` entries and ended in `failure` or well.

    Daily Papers has next to nothing on Saturdays and Sundays; an empty weekday is suspect, unless
    the fetch knew that it would be (`expected_empty`). What only repeats another day is stale.
    """
    if repeats:
        return Partition(source, day, State.STALE, received, f"the same papers as on {repeats}")
    if failure:
        state = State.PARTIAL if received else State.FAILED
        return Partition(source, day, state, received, failure)
    if received:
        return Partition(source, day, State.OK, received)
    if expected_empty or date.fromisoformat(day).weekday() >= 5:
        return Partition(source, day, State.EMPTY_EXPECTED, 0)
    return Partition(source, day, State.EMPTY_SUSPECT, 0, "no entries on a weekday")


def doubt(judged: Partition, known: Iterable[Partition], window: int) -> Partition:
    """A day as it was judged, in the light of what is `known` of its source.

    One with less than half of what the same weekdays had is suspect. A doubt ends when the source
    says the same again on the last night of the day's window, or later, while a weekday since then
    was fetched whole: in an outage none is.
    """
    known = list(known)
    if judged.state is State.OK and (usual := _usual(judged.day, known)) > 2 * judged.received:
        reason = f"{judged.received} entries where {usual:g} are usual"
        judged = judged._replace(state=State.EMPTY_SUSPECT, reason=reason)
    if judged.state not in DOUBTED or not _is_confirmed(judged, known, window):
        return judged
    state = State.OK if judged.received else State.EMPTY_EXPECTED
    return judged._replace(state=state, reason=None)


def close(db: sa.Connection, partition: Partition) -> None:
    """Write how the partition ended; a failure takes nothing from what was fetched whole."""
    good = partition.state in CLOSED
    row = partition._replace(night=partition.night if good else None)._asdict()
    statement = insert(ledger)
    names = ("state", "received", "reason", "night")
    fresh = {name: statement.excluded[name] for name in names}
    keep = None if good else ledger.c.state.not_in(CLOSED)
    update = statement.on_conflict_do_update(set_=fresh, where=keep)
    db.execute(update, {**row, "state": str(partition.state)})


def partitions(
    db: sa.Connection, source: str | None = None, since: str | None = None
) -> list[Partition]:
    """Every row, oldest day first; of one source, and from the day `since` on, if given."""
    query = sa.select(ledger).order_by(ledger.c.source, ledger.c.day)
    if source:
        query = query.where(ledger.c.source == source)
    if since:
        query = query.where(ledger.c.day >= since)
    return [
        Partition(r.source, r.day, State(r.state), r.received, r.reason, r.night)
        for r in db.execute(query)
    ]


def days_between(first: str, last: str) -> list[str]:
    """Every day from `first` to `last`, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=n)) for n in range((end - start).days + 1)]


def open_days(known: list[Partition], night: str, window: int) -> list[str]:
    """The days to ask for on `night`: the last `window`, and every one before that is not settled.

    The window is asked again even where it is closed, since repositories, keywords and upvotes
    arrive late. A day is settled once it was fetched whole on the last night of its window, or
    later. Days before the first one in the ledger were never wanted.
    """
    wanted = set(days_between(shifted(night, 1 - window), night))
    if known:
        settled = {p.day for p in known if (p.night or "") >= shifted(p.day, window - 1)}
        wanted |= set(days_between(min(p.day for p in known), night)) - settled
    return sorted(wanted)


def shifted(day: str, days: int) -> str:
    """The day so many days after `day`, before it if negative."""
    return str(date.fromisoformat(day) + timedelta(days=days))


def _usual(day: str, known: list[Partition]) -> float:
    """The median of the same weekdays before; 0 where they tell nothing: too few, or too small."""
    before = {shifted(day, -7 * weeks) for weeks in range(1, WEEKS + 1)}
    sizes = [p.received for p in known if p.day in before and p.state is State.OK]
    usual = median(sizes) if len(sizes) >= 3 else 0
    return usual if usual >= 6 else 0


def _is_confirmed(judged: Partition, known: list[Partition], window: int) -> bool:
    """Whether a doubted day came as before when its window was over, the source being well."""
    if (judged.night or "") < shifted(judged.day, window - 1):
        return False
    before = any(p.day == judged.day and p.state is judged.state for p in known)
    whole = (p.day for p in known if p.state is State.OK and p.day > judged.day)
    return before and any(date.fromisoformat(day).weekday() < 5 for day in whole)
