"""What was read of a response goes into the catalogue, once, and is counted.

Apart from `ingest.record`, which reads all kinds and so waits for every source's packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ingest.batch import Batch
from ingest.catalogue import add_batch, add_quarantine, responses
from ingest.paper import Rejected
from ingest.raw import Archive, Raw


class Tally(NamedTuple):
    """What one response, or several together, brought."""

    kind: str
    partition: str
    received: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0


def add_up(tallies: Iterable[Tally]) -> list[Tally]:
    """One tally for each (kind, partition)."""
    sums: dict[tuple[str, str], Tally] = {}
    for t in tallies:
        key = (t.kind, t.partition)
        before = sums.get(key, Tally(*key))
        sums[key] = Tally(*key, *(a + b for a, b in zip(before[2:], t[2:], strict=True)))
    return list(sums.values())


def unrecorded(engine: sa.Engine, archive: Archive) -> list[str]:
    """The raw entries that the catalogue has not seen, in the order of receipt."""
    with engine.connect() as db:
        known = set(db.scalars(sa.select(responses.c.name)))
    return [name for name in archive.names() if name not in known]


def record_read(
    engine: sa.Engine, raw: Raw, name: str, batch: Batch, rejected: Sequence[Rejected]
) -> Tally:
    """Record an entry that another process has landed as `name` and read.

    Which titles of saved listings it resolves is left for whoever has recorded all of them.
    """
    with engine.begin() as db:
        note_response(db, name, raw)
        return keep(db, name, raw, batch, rejected)


def note_response(db: sa.Connection, name: str, raw: Raw) -> None:
    """The catalogue has seen this entry."""
    db.execute(responses.insert().values((name, raw.kind, raw.partition, raw.received_at)))


def keep(
    db: sa.Connection, name: str, raw: Raw, batch: Batch, rejected: Sequence[Rejected]
) -> Tally:
    """What the entry said goes to papers and observations, what it said badly to quarantine."""
    changes = add_batch(db, batch)
    bad = add_quarantine(db, name, raw.kind, raw.partition, rejected)
    return Tally(raw.kind, raw.partition, len(batch.observations) + bad, *changes, bad)
