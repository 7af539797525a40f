"""How each source, the catalogue and the snapshot stand on a day, changing nothing.

Fresh is what a monitor may sleep on: every listing that is due was fetched whole, no other service
has been silent for days, and a snapshot serves. Today's listing is due tomorrow: the night may not
have run yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from index import snapshot
from ingest import ledger
from ingest.announcements import CATCHUP, FEED
from ingest.calendar import previous_announcement_day
from ingest.catalogue import count, papers, quarantine
from ingest.collect import DAILY, pending
from ingest.errors import SnapshotError
from ingest.layout import Home
from ingest.ledger import CLOSED, Partition, State, shifted
from ingest.titles import unresolved
from serve.inspect import catalogue

PATIENCE = 3
"""Days that arXiv's API, its OAI-PMH and GitHub may leave unanswered: a night does without them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one source of the ledger stands."""

    source: str
    last_good: str | None
    """The last day that was fetched whole, or was rightly empty."""
    days_behind: int | None
    """From `last_good` to the day asked about."""
    open: dict[str, str]
    """Day to state and reason: what the next night asks for again."""
    stale: str | None
    """Why this source is not fresh, if it is not."""


def status(home: Path, today: str, followed: Collection[str]) -> dict[str, Any]:
    """How the home stands on `today` with these categories followed, ready for JSON."""
    with catalogue(home) as db:
        sources = standings(ledger.partitions(db), today, followed)
        serving = _snapshot(home)
        return {
            "home": str(home),
            "day": today,
            "stale": [*_reasons(sources), *([] if serving else ["no snapshot serves"])],
            "sources": [asdict(standing) for standing in sources],
            "papers": count(db, papers),
            "pending": len(pending(db)),
            "titles_unresolved": [t.title for t in unresolved(db)],
            "quarantined": _quarantined(db),
            "snapshot": serving,
        }


def status_lines(report: dict[str, Any]) -> Iterator[str]:
    """The same for people, the verdict first."""
    yield f"{'STALE' if report['stale'] else 'fresh'} on {report['day']}"
    yield from (f"  {reason}" for reason in report["stale"])
    for source in report["sources"]:
        last, behind = source["last_good"] or "never", source["days_behind"]
        yield f"{source['source']:<22}last good {last}" + (f", {behind} days ago" if behind else "")
        yield from (f"  open  {day}  {label}" for day, label in source["open"].items())
    yield f"{'papers':<22}{report['papers']}, {report['pending']} wait for arXiv's metadata"
    yield f"{'titles unresolved':<22}{len(report['titles_unresolved'])}"
    yield from (f"  {title}" for title in report["titles_unresolved"])
    yield f"{'quarantine':<22}{sum(report['quarantined'].values())}"
    yield from (f"  {kind}  {rows}" for kind, rows in report["quarantined"].items())
    yield f"{'snapshot':<22}{report['snapshot'] or 'none'}"


def standings(known: list[Partition], today: str, followed: Collection[str] = ()) -> list[Standing]:
    """Every source of the ledger, and Daily Papers even if it was never asked.

    Categories that are not followed any more are shown, and not counted as stale.
    """
    by_source: dict[str, list[Partition]] = {DAILY: []}
    for partition in known:
        by_source.setdefault(partition.source, []).append(partition)
    return [_standing(source, rows, today, followed) for source, rows in by_source.items()]


def _standing(
    source: str, rows: list[Partition], today: str, followed: Collection[str]
) -> Standing:
    last = max((p.day for p in rows if p.state in CLOSED or _is_small(p)), default=None)
    kind, _, category = source.partition("/")
    listed = kind in (DAILY, CATCHUP)
    # Where a day is a night of asking, a later answer makes up for an earlier failure.
    left = [p for p in rows if p.state not in CLOSED and (listed or p.day > (last or ""))]
    if kind == FEED or (kind == CATCHUP and category not in followed):
        stale = None
    elif listed:
        stale = _overdue(left, _due(kind, today)) or _missing(last, _due(kind, today))
    else:
        stale = _overdue(left, shifted(today, -PATIENCE))
    behind = len(ledger.days_between(last, today)) - 1 if last and last <= today else None
    return Standing(source, last, behind, {p.day: p.label for p in left}, stale)


def _due(kind: str, today: str) -> str:
    """The newest listing that must be there by `today`."""
    return shifted(today, -1) if kind == DAILY else previous_announcement_day(today)


def _overdue(left: list[Partition], due: str) -> str | None:
    late = [p for p in left if p.day <= due and not _is_small(p)]
    if not late:
        return None
    more = f", and {len(late) - 1} more" if len(late) > 1 else ""
    return f"{late[0].day} is open: {late[0].label}{more}"


def _is_small(partition: Partition) -> bool:
    """Whether a day came whole and has less than usual: asked for again, and no alarm."""
    return partition.state is State.EMPTY_SUSPECT and partition.received > 0


def _missing(last: str | None, due: str) -> str | None:
    return None if (last or "") >= due else f"{due} was due, the last good one is {last or 'none'}"


def _reasons(sources: list[Standing]) -> list[str]:
    return [f"{s.source}: {s.stale}" for s in sources if s.stale]


def _quarantined(db: sa.Connection) -> dict[str, int]:
    """How many entries of each kind could not be read."""
    query = sa.select(quarantine.c.kind, sa.func.count().label("entries")).group_by(
        quarantine.c.kind
    )
    return {row.kind: row.entries for row in db.execute(query.order_by(quarantine.c.kind))}


def _snapshot(home: Path) -> str | None:
    try:
        return snapshot.current(Home(home).index).name
    except SnapshotError:
        return None
