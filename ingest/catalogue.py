"""The catalogue: papers and what they were merged from, in one SQLite file.

Everything in it can be rebuilt from `raw/`. Functions take an open connection, so that
what belongs together is written in one transaction: a killed process leaves all of it or nothing.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from ingest.batch import UNMERGED, Batch, PaperRow, batch_of, observation_row, paper_row
from ingest.errors import Busy, PaperfeedError
from ingest.merge import confirm, merge
from ingest.paper import Confirmation, Observation, Paper, Rejected

T = TypeVar("T")

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
    sa.Index(
        "observations_by_day",
        "source",
        "listed_on",
        sqlite_where=sa.literal_column("listed_on IS NOT NULL"),
    ),
)
papers = sa.Table(
    "papers",
    tables,
    sa.Column("arxiv_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, comment="NULL until arXiv has answered"),
    sa.Column("title_key", sa.Text),
    sa.Column("record", sa.Text, nullable=False, comment="UNMERGED until it is asked for"),
)
_by_title = sa.Index("papers_by_title", papers.c.title_key)
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
announced = sa.Table(
    "announced",
    tables,
    sa.Column("arxiv_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, nullable=False, comment="of the newest listing that names it"),
    sa.Column("night", sa.Text, comment="the last one on which OAI-PMH told of it"),
)
ledger = sa.Table(
    "ledger",
    tables,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("received", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("night", sa.Text, comment="the last one on which it was fetched whole"),
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
links = sa.Table(
    "links",
    tables,
    sa.Column("arxiv_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="owner/name in lower case"),
    sa.Column("spelled", sa.Text, nullable=False, comment="as the paper spells it"),
    sa.Column("own", sa.Boolean, nullable=False),
    sa.Column("listed_on", sa.Text, comment="the paper's newest day on Daily Papers"),
    sa.Index("links_by_name", "name"),
)
repositories = sa.Table(
    "repositories",
    tables,
    sa.Column("name", sa.Text, primary_key=True, comment="as in links"),
    sa.Column("state", sa.Text, nullable=False, comment="found, moved, missing or unknown"),
    sa.Column("full_name", sa.Text, comment="its name now, as GitHub spells it"),
    sa.Column("stars", sa.Integer),
    sa.Column("archived", sa.Boolean),
    sa.Column("pushed_at", sa.Text),
    sa.Column("license", sa.Text),
    sa.Column("etag", sa.Text),
    sa.Column("verified", sa.Text, comment="the night GitHub last confirmed it; NULL if missing"),
    sa.Column("misses", sa.Integer, nullable=False, comment="times in a row GitHub had none"),
    sa.Column("checked_on", sa.Text, nullable=False, comment="the night it was last asked for"),
    sa.Column("next_night", sa.Text, nullable=False, comment="when to ask again"),
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
    _by_title.create(engine, checkfirst=True)  # which a killed import leaves out
    return engine


@contextmanager
def titles_indexed_afterwards(engine: sa.Engine) -> Iterator[None]:
    """Let a catalogue without papers take in many: titles are put in order once, at the end."""
    with engine.begin() as db:
        if not count(db, papers):
            _by_title.drop(db)
    try:
        yield
    finally:
        _by_title.create(engine, checkfirst=True)


def add_observations(db: sa.Connection, seen: Iterable[Observation]) -> Changes:
    """Keep `seen` and merge anew the papers they are about."""
    return add_batch(db, batch_of(seen))


def add_batch(db: sa.Connection, batch: Batch) -> Changes:
    """Keep the batch's observations and merge anew the papers of which they say anything new."""
    before = _said_before(db, sorted({arxiv_id for arxiv_id, *_ in batch.observations}))
    news = [row for row in batch.observations if before.get(row[:2], "") < row[4]]
    if not news:
        return Changes(0, 0)
    known = {arxiv_id for arxiv_id, _ in before}
    again = sorted({arxiv_id for arxiv_id, *_ in news} & known)
    _write_out(db, again)
    db.exec_driver_sql(_KEEP_OBSERVATION, news)
    rows = [row for row in batch.rows if row[0] not in known]
    rows += _linked_rows(db, [paper for paper in batch.linked if paper.arxiv_id not in known])
    if rows:
        db.exec_driver_sql(_KEEP_PAPER, rows)
    merged = _merge_again(db, again)
    return Changes(len(rows) + merged.new, merged.changed)


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


def unlist(db: sa.Connection, day: str, repeated: str) -> Changes:
    """Take back that papers were listed on `day`: the list was that of the day `repeated`.

    What else was said of them stays.
    """
    o = observations.c
    there = sa.select(o.arxiv_id).where(o.source == "huggingface", o.listed_on == repeated)
    wrong = (o.source == "huggingface", o.listed_on == day, o.arxiv_id.in_(there))
    rows = db.execute(sa.select(o.said, o.seen_at).where(*wrong))
    seen = [replace(_said(row), listed_on=None) for row in rows]
    if not seen:
        return Changes(0, 0)
    db.execute(observations.delete().where(*wrong))
    db.exec_driver_sql(_KEEP_OBSERVATION, [observation_row(one) for one in seen])
    return _merge_again(db, sorted({one.arxiv_id for one in seen}))


def merge_linking(db: sa.Connection, name: str) -> Changes:
    """Merge anew the papers that link to this repository, whose name is in lower case."""
    query = sa.select(links.c.arxiv_id).where(links.c.name == name)
    return _merge_again(db, sorted(db.scalars(query)))


def all_papers(db: sa.Connection) -> Iterator[Paper]:
    """Every paper in the order of ids, a thousand in memory at a time."""
    query = _told.order_by(papers.c.arxiv_id)
    yield from map(_paper_of, db.execution_options(yield_per=1000).execute(query))


def paper(db: sa.Connection, arxiv_id: str) -> Paper | None:
    """The paper of this base id, if the catalogue has it."""
    told = db.execute(_told.where(papers.c.arxiv_id == arxiv_id)).first()
    return _paper_of(told) if told else None


def merge_owed(engine: sa.Engine) -> int:
    """Merge the papers that an import left UNMERGED; gives how many these were."""
    with engine.connect() as db:
        owed = list(db.scalars(sa.select(papers.c.arxiv_id).where(papers.c.record == UNMERGED)))
    for some in _in_parts(owed):
        with engine.begin() as db:
            _write_out(db, some)
    return len(owed)


def count(db: sa.Connection, table: sa.Table) -> int:
    """Rows in `table`."""
    return db.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def refresh_owed(db: sa.Connection, window: int) -> set[str]:
    """Listed ids that arXiv was not asked for on the last night of their window, or later."""
    o = observations.c
    settled_on = sa.func.date(sa.func.max(o.listed_on), f"+{window - 1} days")
    query = (
        sa.select(o.arxiv_id)
        .outerjoin_from(observations, asked, o.arxiv_id == asked.c.arxiv_id)
        .where(o.listed_on.is_not(None))
        .group_by(o.arxiv_id)
        .having(sa.or_(asked.c.last_night.is_(None), asked.c.last_night < settled_on))
    )
    return {str(row.arxiv_id) for row in db.execute(query)}


def _set_up(connection: object, _record: object) -> None:
    """WAL: a reader never waits for the night, and a killed writer leaves no half transaction."""
    cursor = connection.cursor()  # type: ignore[attr-defined]  # sqlite3.Connection, untyped here
    cursor.execute("PRAGMA page_size=16384")  # of a new file: rows are of 2 KB
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    # An import spends a third less with room for the indexes, and writing them seldom (32 MB).
    cursor.execute("PRAGMA cache_size=-32768")
    cursor.execute("PRAGMA wal_autocheckpoint=2048")
    cursor.close()


def _say_what_to_do(context: sa.ExceptionContext) -> None:
    """Raise what a person can act on in place of the driver's error."""
    said = str(context.original_exception)
    path = context.engine.url.database if context.engine else "the catalogue"
    if "disk is full" in said or "disk I/O" in said:
        raise OSError(errno.ENOSPC, "no space left", path) from context.original_exception
    if "locked" in said:
        raise Busy(f"another program has {path} locked") from context.original_exception
    if "unable to open" in said or "readonly" in said:
        raise PaperfeedError(
            f"{path} cannot be opened for writing: check whose it is"
        ) from context.original_exception
    if "no such column" in said or "malformed" in said or "not a database" in said:
        raise PaperfeedError(
            f"{path} is damaged, or an older paperfeed's: move it away and run  paperfeed replay"
        ) from context.original_exception


def _said_before(db: sa.Connection, ids: list[str]) -> dict[tuple[str, str], str]:
    """When each (id, digest) known of these papers was last said."""
    rows = db.exec_driver_sql(_SAID_OF, (msgspec.json.encode(ids),))
    return {(arxiv_id, digest): seen_at for arxiv_id, digest, seen_at in rows}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def _merge_again(db: sa.Connection, ids: list[str]) -> Changes:
    new = changed = 0
    for some in _in_parts(ids):
        known = _known(db, some)
        rows = _linked_rows(db, [merge(i, group) for i, group in _observed(db, some)])
        rows = [row for row in rows if known.get(row[0]) != row[3]]
        new += sum(row[0] not in known for row in rows)
        changed += sum(row[0] in known for row in rows)
        if rows:
            db.exec_driver_sql(_KEEP_PAPER, rows)
    return Changes(new, changed)


def _write_out(db: sa.Connection, ids: list[str]) -> None:
    """Merge those of these papers that are UNMERGED."""
    for some in _in_parts(ids):
        owed = db.execute(_told.where(papers.c.arxiv_id.in_(some), papers.c.record == UNMERGED))
        if rows := [paper_row(_paper_of(told)) for told in owed]:
            db.exec_driver_sql(_KEEP_PAPER, rows)


def _paper_of(told: sa.Row[Any]) -> Paper:
    """The paper that a row of `_told` tells of."""
    return Paper.from_json(told.record) if told.record else merge(told.arxiv_id, [_said(told)])


def _said(row: sa.Row[Any]) -> Observation:
    return replace(Observation.from_json(row.said), seen_at=row.seen_at)


def _in_parts(items: list[T]) -> Iterator[list[T]]:
    """`items`, few enough at once for a query: SQLite takes a limited number of parameters."""
    for start in range(0, len(items), 500):
        yield items[start : start + 500]


def _linked_rows(db: sa.Connection, merged: list[Paper]) -> list[PaperRow]:
    """Merged papers as rows, with what GitHub said of their links, which are noted."""
    rows = []
    for some in _in_parts(merged):
        ids = [paper.arxiv_id for paper in some]
        _write_links(db, ids, some)
        said = _confirmations(db, ids)
        rows += [paper_row(confirm(paper, said)) for paper in some]
    return rows


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
            [_said(row) for row in group],
        )


def _write_links(db: sa.Connection, ids: list[str], merged: list[Paper]) -> None:
    """The links of these papers as they were merged, under the names that the papers give."""
    known = {tuple(row) for row in db.execute(sa.select(links).where(links.c.arxiv_id.in_(ids)))}
    wanted = {link for paper in merged for link in _links(paper)}
    if stale := known - wanted:
        this = (links.c.arxiv_id == sa.bindparam("id"), links.c.name == sa.bindparam("of"))
        db.execute(links.delete().where(*this), [{"id": link[0], "of": link[1]} for link in stale])
    if fresh := wanted - known:
        names = links.c.keys()
        db.execute(links.insert(), [dict(zip(names, link, strict=True)) for link in fresh])


def _links(paper: Paper) -> set[tuple[str, str, str, bool, str | None]]:
    own = {repo.name for repo in paper.repos if repo.own}  # each has one spelling
    listed_on = max(paper.listed_on, default=None)
    return {
        (paper.arxiv_id, repo.name.casefold(), repo.name, repo.name in own, listed_on)
        for repo in paper.repos
    }


def _confirmations(db: sa.Connection, ids: list[str]) -> dict[str, Confirmation]:
    """What GitHub said of the repositories that these papers link to, by their names there."""
    r = repositories.c
    query = (
        sa.select(r.name, r.full_name, r.verified, r.stars, r.archived)
        .join_from(repositories, links, r.name == links.c.name)
        .where(links.c.arxiv_id.in_(ids), r.verified.is_not(None))
    )
    return {name: Confirmation(*said) for name, *said in db.execute(query)}


def _upsert(table: sa.Table, **values: sa.ColumnElement[Any]) -> str:
    """SQL that writes rows given as tuples: three times as fast as through SQLAlchemy's own."""
    statement = insert(table)
    fresh = values or {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
    return str(statement.on_conflict_do_update(set_=fresh).compile(dialect=sqlite.dialect()))


_told = sa.select(
    papers.c.arxiv_id, papers.c.record, observations.c.said, observations.c.seen_at
).outerjoin_from(
    papers,
    observations,
    sa.and_(papers.c.record == UNMERGED, papers.c.arxiv_id == observations.c.arxiv_id),
)
"""Papers: their records, or where they are UNMERGED, the one observation of each."""
_SAID_OF = (
    "SELECT arxiv_id, digest, seen_at FROM observations"
    " WHERE arxiv_id IN (SELECT value FROM json_each(?))"
)
_KEEP_PAPER = _upsert(papers)
_KEEP_OBSERVATION = _upsert(
    observations,
    seen_at=sa.func.max(observations.c.seen_at, insert(observations).excluded.seen_at),
)
