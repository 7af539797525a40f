"""Papers known by title only, from saved listings, until their arXiv id is found.

A title is resolved by a paper of the catalogue with the same title; where there is none, an arXiv
title search may bring it. What nobody knows is kept and listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.catalogue import add_observations, papers, titles
from ingest.paper import Observation
from ingest.sources.saved_listing import Listing
from ingest.text import title_key


class Title(NamedTuple):
    """One title of a saved listing, and the id it was resolved to, if it was."""

    title_key: str
    title: str
    arxiv_id: str | None


def keep_entries(db: sa.Connection, listing: Listing, seen_at: str) -> None:
    """Remember every entry of `listing`; those that carry their id are resolved already."""
    rows = [
        {
            "title_key": title_key(entry.title),
            "title": entry.title,
            "abstract": entry.abstract,
            "arxiv_id": entry.arxiv_id,
            "seen_at": seen_at,
            "last_night": None,
        }
        for entry in listing.entries
    ]
    if rows:
        statement = insert(titles)
        fresh = statement.excluded
        newer = {
            "seen_at": fresh.seen_at,
            "abstract": sa.func.coalesce(fresh.abstract, titles.c.abstract),
            "last_night": None,  # imported anew, asked for anew
        }
        db.execute(statement.on_conflict_do_update(set_=newer), rows)
        add_observations(db, _resolved(db, [title_key(entry.title) for entry in listing.entries]))


def resolve_titles(db: sa.Connection) -> int:
    """Give every unresolved title the paper of the catalogue that bears it; how many got one."""
    match = sa.select(sa.func.min(papers.c.arxiv_id)).where(
        papers.c.title_key == titles.c.title_key
    )
    query = sa.select(titles.c.title_key, match.scalar_subquery().label("arxiv_id"))
    found = [row for row in db.execute(query.where(titles.c.arxiv_id.is_(None))) if row.arxiv_id]
    for row in found:
        one = titles.c.title_key == row.title_key
        db.execute(titles.update().where(one).values(arxiv_id=row.arxiv_id))
    add_observations(db, _resolved(db, [row.title_key for row in found]))
    return len(found)


def unresolved(db: sa.Connection) -> list[Title]:
    """The titles that nobody knows yet."""
    return [t for t in all_titles(db) if t.arxiv_id is None]


def all_titles(db: sa.Connection) -> list[Title]:
    """Every title ever imported, in alphabetical order."""
    query = sa.select(titles.c.title_key, titles.c.title, titles.c.arxiv_id)
    return [Title(*row) for row in db.execute(query.order_by(titles.c.title_key))]


def titles_to_ask(db: sa.Connection) -> list[str]:
    """The unresolved titles that arXiv was not asked for since they were last imported."""
    fresh = titles.c.arxiv_id.is_(None) & titles.c.last_night.is_(None) & (titles.c.title_key != "")
    query = sa.select(titles.c.title).where(fresh).order_by(titles.c.title_key)
    return [row.title for row in db.execute(query)]


def wanted_titles(db: sa.Connection, asked_for: str, night: str) -> set[str]:
    """The keys still unresolved; notes that arXiv was asked for the title `asked_for`."""
    one = titles.c.title_key == title_key(asked_for)
    db.execute(titles.update().where(one).values(last_night=night))
    return set(db.scalars(sa.select(titles.c.title_key).where(titles.c.arxiv_id.is_(None))))


def _resolved(db: sa.Connection, keys: list[str]) -> Iterator[Observation]:
    """What the saved listings said of those of `keys` whose id is known."""
    known = titles.c.arxiv_id.is_not(None)
    for row in db.execute(sa.select(titles).where(titles.c.title_key.in_(keys), known)).all():
        yield Observation(
            source="saved_listing",
            arxiv_id=row.arxiv_id,
            seen_at=row.seen_at,
            title=row.title,
            abstract=row.abstract,
        )
