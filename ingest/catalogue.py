"""The catalogue: papers and what they were merged from, in one SQLite file.

Everything in it but the runs can be rebuilt from `raw/`. Functions take an open connection, so that
what belongs together is written in one transaction: a killed process leaves all of it or nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.errors import Busy, PaperfeedError
from ingest.merge import merge
from ingest.paper import Observation, Paper, Rejected
from ingest.text import title_key

tables = sa.MetaData()

responses = sa.Table(
    "responses",
    tables,
    sa.Column("name", sa.Text, primary_key=True, comment="in raw/"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
)
observations = sa.Table(
    "observations",
    tables,
    sa.Column("arxiv_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True, comment="of all but the time"),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("listed_on", sa.Text),
    sa.Column("seen_at", sa.Text, nullable=False, comment="the last time it was said"),
    sa.Column("said", sa.Text, nullable=False),
    sa.Index("observations_by_day", "source", "listed_on"),
)
papers = sa.Table(
    "papers",
    tables,
    sa.Column("arxiv_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, comment="NULL until arXiv has answered"),
    sa.Column("title_key", sa.Text, index=True),
    sa.Column("record", sa.Text, nullable=False),
)
quarantine = sa.Table(
    "quarantine",
    tables,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("arxiv_id", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("response", sa.Text, nullable=False, comment="the newest that held it"),
)
asked = sa.Table(
    "asked",
    tables,
    sa.Column("arxiv_id", sa.Text, primary_key=True),
    sa.Column("last_night", sa.Text, nullable=False),
    sa.Column("unknown", sa.Integer, nullable=False, comment="times in a row arXiv had no answer"),
)
ledger = sa.Table(
    "ledger",
    tables,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("received", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text),
)
titles = sa.Table(
    "titles",
    tables,
    sa.Column("title_key", sa.Text, primary_key=True, comment="of a saved listing's entry"),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("seen_at", sa.Text, nullable=False),
    sa.Column("abstract", sa.Text),
    sa.Column("arxiv_id", sa.Text, comment="NULL while nobody knows it"),
    sa.Column("last_night", sa.Text, comment="arXiv was last asked for it"),
)


class Changes(NamedTuple):
    """How many papers appeared, and how many of those known are different now."""

    new: int
    changed: int


def open_catalogue(path: Path) -> sa.Engine:
    """The catalogue at `path`, made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "handle_error", _say_what_to_do)
    tables.create_all(engine)
    return engine


def add_observations(db: sa.Connection, seen: Iterable[Observation]) -> Changes:
    """Keep `seen` and merge anew the papers they are about."""
    kept = list(seen)
    if not kept:
        return Changes(0, 0)
    statement = insert(observations)
    later = sa.func.max(observations.c.seen_at, statement.excluded.seen_at)
    db.execute(statement.on_conflict_do_update(set_={"seen_at": later}), [_row(o) for o in kept])
    return _merge_again(db, sorted({o.arxiv_id for o in kept}))


def add_quarantine(
    db: sa.Connection, response: str, kind: str, partition: str, rejected: Sequence[Rejected]
) -> int:
    """Keep what could not be read, once for each distinct content; gives how many there were."""
    rows = [
        {
            "digest": _digest(kind, partition, r.reason, r.payload),
            "kind": kind,
            "partition": partition,
            "arxiv_id": r.arxiv_id,
            "reason": r.reason,
            "payload": r.payload,
            "response": response,
        }
        for r in rejected
    ]
    if rows:
        statement = insert(quarantine)
        db.execute(
            statement.on_conflict_do_update(set_={"response": statement.excluded.response}), rows
        )
    return len(rows)


def all_papers(db: sa.Connection) -> Iterator[Paper]:
    """Every paper in the order of ids, a thousand in memory at a time."""
    query = sa.select(papers.c.record).order_by(papers.c.arxiv_id)
    for record in db.execution_options(yield_per=1000).scalars(query):
        yield Paper.from_record(json.loads(record))


def paper(db: sa.Connection, arxiv_id: str) -> Paper | None:
    """The paper of this base id, if the catalogue has it."""
    record = db.scalar(sa.select(papers.c.record).where(papers.c.arxiv_id == arxiv_id))
    return Paper.from_record(json.loads(record)) if record else None


def count(db: sa.Connection, table: sa.Table) -> int:
    """Rows in `table`."""
    return db.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def listed_between(db: sa.Connection, first: str, last: str) -> set[str]:
    """Ids that stood on Daily Papers on a day from `first` to `last`."""
    days = observations.c.listed_on.between(first, last)
    query = sa.select(observations.c.arxiv_id).where(days)
    return {str(row.arxiv_id) for row in db.execute(query)}


def _set_up(connection: object, _record: object) -> None:
    """WAL: a reader never waits for the night, and a killed writer leaves no half transaction."""
    cursor = connection.cursor()  # type: ignore[attr-defined]  # sqlite3.Connection, untyped here
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _say_what_to_do(context: sa.ExceptionContext) -> None:
    """Raise what a person can act on in place of the driver's error."""
    said = str(context.original_exception)
    path = context.engine.url.database if context.engine else "the catalogue"
    if "disk is full" in said or "disk I/O" in said:
        raise OSError(errno.ENOSPC, "no space left", path) from context.original_exception
    if "locked" in said:
        raise Busy(f"another program has {path} locked") from context.original_exception
    if "malformed" in said or "not a database" in said:
        raise PaperfeedError(
            f"{path} is damaged: move it away and run  paperfeed replay"
        ) from context.original_exception


def _row(o: Observation) -> dict[str, str | None]:
    said = o.to_json()
    return {
        "arxiv_id": o.arxiv_id,
        "digest": _digest(replace(o, seen_at="").to_json()),
        "source": o.source,
        "listed_on": o.listed_on,
        "seen_at": o.seen_at,
        "said": said,
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def _merge_again(db: sa.Connection, ids: list[str]) -> Changes:
    new = changed = 0
    for start in range(0, len(ids), 500):  # SQLite takes a limited number of parameters
        some = ids[start : start + 500]
        known = _known(db, some)
        rows = [_paper_row(merge(i, group)) for i, group in _observed(db, some)]
        rows = [row for row in rows if known.get(str(row["arxiv_id"])) != row["record"]]
        new += sum(row["arxiv_id"] not in known for row in rows)
        changed += sum(row["arxiv_id"] in known for row in rows)
        if rows:
            _write_papers(db, rows)
    return Changes(new, changed)


def _known(db: sa.Connection, ids: list[str]) -> dict[str, str]:
    query = sa.select(papers.c.arxiv_id, papers.c.record).where(papers.c.arxiv_id.in_(ids))
    return {row.arxiv_id: row.record for row in db.execute(query)}


def _observed(db: sa.Connection, ids: list[str]) -> Iterator[tuple[str, list[Observation]]]:
    o = observations.c
    query = sa.select(o.arxiv_id, o.said, o.seen_at).where(o.arxiv_id.in_(ids))
    rows = db.execute(query.order_by(o.arxiv_id))
    for arxiv_id, group in groupby(rows, key=lambda row: str(row.arxiv_id)):
        yield (
            arxiv_id,
            [replace(Observation.from_json(row.said), seen_at=row.seen_at) for row in group],
        )


def _write_papers(db: sa.Connection, rows: list[dict[str, str | int | None]]) -> None:
    statement = insert(papers)
    fresh = {c.name: statement.excluded[c.name] for c in papers.c if c.name != "arxiv_id"}
    db.execute(statement.on_conflict_do_update(set_=fresh), rows)


def _paper_row(paper: Paper) -> dict[str, str | int | None]:
    return {
        "arxiv_id": paper.arxiv_id,
        "version": paper.version,
        "title_key": title_key(paper.title or "") or None,
        "record": json.dumps(paper.to_record(), ensure_ascii=False),
    }
