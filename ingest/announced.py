"""Which papers arXiv has announced, and which of them it has not told of since.

A listing names a paper without its version, and a feed without its dates. So every announced paper
is owed an answer of the API or a record of OAI-PMH, given on the listing's day or later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.batch import UNMERGED
from ingest.catalogue import announced, asked, observations, papers
from ingest.sources import arxiv_feed


def note_announced(db: sa.Connection, ids: Collection[str], day: str) -> None:
    """Remember that the listing of `day` names these papers."""
    statement = insert(announced)
    newest = sa.func.max(announced.c.day, statement.excluded.day)
    rows = [{"arxiv_id": arxiv_id, "day": day} for arxiv_id in ids]
    if rows:
        db.execute(statement.on_conflict_do_update(set_={"day": newest}), rows)


def note_told(db: sa.Connection, ids: Collection[str], night: str) -> None:
    """Remember that OAI-PMH told on `night` how these papers are now."""
    before = sa.func.coalesce(announced.c.night, "")
    newest = announced.update().values(night=sa.func.max(before, night))
    these = newest.where(announced.c.arxiv_id == sa.bindparam("id"))
    if ids:
        db.execute(these, [{"id": arxiv_id} for arxiv_id in ids])


def announcement_owed(db: sa.Connection) -> set[str]:
    """Ids that arXiv has told nothing of since it announced them."""
    told = (sa.func.coalesce(night, "") for night in (announced.c.night, asked.c.last_night))
    query = (
        sa.select(announced.c.arxiv_id)
        .outerjoin_from(announced, asked, announced.c.arxiv_id == asked.c.arxiv_id)
        .where(sa.func.max(*told) < announced.c.day)
    )
    return set(db.scalars(query))


def hinted_only(db: sa.Connection) -> Iterator[str]:
    """Ids whose newest version nobody but the feed has told of: it knows no dates, no comment."""
    record = sa.func.nullif(papers.c.record, UNMERGED)  # no feed told of such a paper
    credited = sa.func.json_extract(record, "$.sources.version")
    query = (
        sa.select(papers.c.arxiv_id)
        .join_from(papers, observations, papers.c.arxiv_id == observations.c.arxiv_id)
        .where(observations.c.source == arxiv_feed.SOURCE, credited == arxiv_feed.SOURCE)
        .distinct()
    )
    yield from db.scalars(query)
