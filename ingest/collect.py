"""From a source to the archive: each function lands what it received and records nothing.

A day's fetch ends with a landed note of how it ended, so that the ledger, too, is rebuilt from
`raw/` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import sqlalchemy as sa

from ingest.catalogue import asked, papers, refresh_owed
from ingest.errors import SourceChanged, SourceError
from ingest.http import Client, Response
from ingest.ledger import days_between
from ingest.paper import Parsed
from ingest.raw import Archive, Raw, moment
from ingest.sources import arxiv_api, huggingface
from ingest.upstreams import Upstreams

WINDOW = 7
"""Nights on which a listed day, and its papers, are asked for again."""

DAILY, ARXIV = "huggingface", "arxiv_api"
"""The ledger's names for the sources."""


def fetch_day(
    client: Client, upstreams: Upstreams, archive: Archive, day: str, night: str | None = None
) -> int:
    """Land every page of Daily Papers for `day`, and how it ended; gives the number of entries.

    `night` is the one it is fetched on, the day itself if None.

    Falls back to the listing page where the API fails. Raises the API's SourceError when both do.
    """
    entries: list[int] = []  # of each page, as far as they came
    try:
        _fetch_api(client, upstreams, archive, day, entries)
    except SourceError as failure:
        try:
            entries = _fetch_listing(client, upstreams, archive, day)
        except SourceError:
            close(archive, DAILY, day, sum(entries), str(failure))
            raise failure from None
    close(archive, DAILY, day, sum(entries), night=night or day)
    return sum(entries)


def close(
    archive: Archive,
    source: str,
    day: str,
    received: int,
    failure: str | None = None,
    *,
    night: str | None = None,
    expected_empty: bool = False,
) -> None:
    """Land the note of how a fetch, on `night` (the day itself, if None), ended."""
    end = {"source": source, "received": received, "failure": failure, "night": night or day}
    if expected_empty:
        end["expected_empty"] = True
    archive.land(Raw("closing", day, "", moment(), json.dumps(end).encode()))


def fetch_ids(
    client: Client, upstreams: Upstreams, archive: Archive, ids: list[str], night: str
) -> None:
    """Land arXiv's answer for `ids`; one malformed id spoils a batch, so a refused one is halved.

    Raises SourceUnavailable where arXiv does not answer, SourceChanged where it answers a batch
    with nothing or with something else: those ids stay pending.
    """
    response = arxiv_api.fetch_ids(client, upstreams, ids)
    if response.status == 400 and len(ids) > 1:
        middle = len(ids) // 2
        fetch_ids(client, upstreams, archive, ids[:middle], night)
        fetch_ids(client, upstreams, archive, ids[middle:], night)
        return
    failure = _suspect(response, len(ids))
    _land(archive, "arxiv_ids", night, response, about="" if failure else ",".join(ids))
    if failure and response.status != 400:  # a refused id, alone by now, stays in quarantine
        raise failure


def fetch_title(
    client: Client, upstreams: Upstreams, archive: Archive, title: str, night: str
) -> None:
    """Land arXiv's answer to a search for `title`."""
    response = arxiv_api.fetch_title(client, upstreams, title)
    _land(archive, "arxiv_title", night, response, about=title)


def import_file(archive: Archive, body: bytes, name: str, night: str) -> None:
    """Land a saved listing."""
    archive.land(Raw("saved_listing", night, name, moment(), body))


def pending(db: sa.Connection) -> list[str]:
    """Ids that arXiv has never answered for."""
    query = sa.select(papers.c.arxiv_id).where(papers.c.version.is_(None))
    return list(db.scalars(query.order_by(papers.c.arxiv_id)))


def ids_to_ask(db: sa.Connection, night: str, window: int = WINDOW) -> list[str]:
    """The ids to ask arXiv for on `night`: pending ones, and listed ones whose refresh is owed.

    A listed paper is asked for again until the last night of its window, for versions and
    withdrawals that come late. Each id is asked once a night; one that arXiv did not know n times
    waits 2**(n-1) nights, 32 at most: ids appear at the API some days late, or never.
    """
    notes = db.execute(sa.select(asked))
    waiting = {n.arxiv_id for n in notes if not _due(n.last_night, n.unknown, night)}
    return sorted({*pending(db), *refresh_owed(db, window)} - waiting)


def in_batches(ids: list[str]) -> Iterator[list[str]]:
    """`ids` in batches that arXiv's API takes."""
    for start in range(0, len(ids), arxiv_api.BATCH):
        yield ids[start : start + arxiv_api.BATCH]


def _due(last_night: str, unknown: int, night: str) -> bool:
    waited = len(days_between(last_night, night)) - 1 if last_night < night else 0
    return waited >= min(1 << max(unknown - 1, 0), 32)


def _fetch_api(
    client: Client, upstreams: Upstreams, archive: Archive, day: str, entries: list[int]
) -> None:
    """Each page is landed before it is read; an unreadable one stays, and raises SourceChanged."""
    for page in huggingface.fetch_day(client, upstreams, day):
        _land(archive, "huggingface_api", day, page)
        entries.append(_entries(huggingface.parse_api(page.body, day, page.received_at), page.url))


def _fetch_listing(client: Client, upstreams: Upstreams, archive: Archive, day: str) -> list[int]:
    page = huggingface.fetch_listing(client, upstreams, day)
    _land(archive, "huggingface_listing", day, page)
    return [_entries(huggingface.parse_listing(page.body, day, page.received_at), page.url)]


def _entries(parsed: Parsed, url: str) -> int:
    """How many entries a page has; one of which not a single entry can be read has changed."""
    if parsed.rejected and not parsed.observations:
        raise SourceChanged(f"no entry can be read: {parsed.rejected[0].reason}", url)
    return len(parsed.observations) + len(parsed.rejected)


def _land(archive: Archive, kind: str, partition: str, response: Response, about: str = "") -> None:
    archive.land(Raw(kind, partition, response.url, response.received_at, response.body, about))


def _suspect(response: Response, asked: int) -> SourceChanged | None:
    """Why an answer tells nothing of the ids asked for; one id alone may well be unknown."""
    try:
        empty = arxiv_api.parse(response.body, response.received_at) == ((), ())
    except SourceChanged as error:
        return SourceChanged(error.message, response.url, response.status)
    if empty and asked > 1:
        return SourceChanged("arXiv answered a batch of ids with nothing", response.url)
    return None
