"""From a source to the archive: each function lands what it received and records nothing.

A day's fetch ends with a landed note of how it ended, so that the ledger, too, is rebuilt from
`raw/` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from ingest.announced import announcement_owed, hinted_only
from ingest.catalogue import asked, papers, refresh_owed
from ingest.errors import SourceChanged, SourceError
from ingest.http import Client, Response
from ingest.ledger import days_between, shifted
from ingest.paper import Parsed
from ingest.raw import Archive, Raw, moment
from ingest.sources import arxiv_api, huggingface
from ingest.upstreams import Upstreams

WINDOW = 7
"""Nights on which a listed day, and its papers, are asked for again."""

DAILY, ARXIV = "huggingface", "arxiv_api"
"""The ledger's names for the sources."""

DAILY_API, DAILY_LISTING = "huggingface_api", "huggingface_listing"
"""The kinds in which a day of Daily Papers lands."""


def fetch_day(
    client: Client, upstreams: Upstreams, archive: Archive, day: str, night: str | None = None
) -> int:
    """Land every page of Daily Papers for `day`, and how it ended; gives the number of entries.

    `night` is the one it is fetched on, the day itself if None.

    Falls back to the listing page where the API fails. Raises the API's SourceError when both do.
    A list that only repeats that of an earlier day is noted as such and fails nothing.
    """
    pages: list[Parsed] = []  # as far as they came
    try:
        _fetch_api(client, upstreams, archive, day, pages)
    except SourceError as failure:
        try:
            pages = [_fetch_listing(client, upstreams, archive, day)]
        except SourceError:
            close(archive, DAILY, day, count_entries(pages), str(failure))
            raise failure from None
    repeats = _repeated_day(archive, day, _listed(pages))
    close(archive, DAILY, day, count_entries(pages), night=night or day, repeats=repeats)
    return count_entries(pages)


def close(
    archive: Archive,
    source: str,
    day: str,
    received: int,
    failure: str | None = None,
    *,
    night: str | None = None,
    expected_empty: bool = False,
    repeats: str | None = None,
) -> None:
    """Land the note of how a fetch, on `night` (the day itself, if None), ended.

    `repeats` is the day whose entries came once more where those of `day` were due.
    """
    end = {"source": source, "received": received, "failure": failure, "night": night or day}
    if expected_empty:
        end["expected_empty"] = True
    if repeats:
        end["repeats"] = repeats
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
    land(archive, "arxiv_ids", night, response, about="" if failure else ",".join(ids))
    if failure and response.status != 400:  # a refused id, alone by now, stays in quarantine
        raise failure


def fetch_title(
    client: Client, upstreams: Upstreams, archive: Archive, title: str, night: str
) -> None:
    """Land arXiv's answer to a search for `title`."""
    response = arxiv_api.fetch_title(client, upstreams, title)
    land(archive, "arxiv_title", night, response, about=title)


def import_file(archive: Archive, body: bytes, name: str, night: str) -> None:
    """Land a saved listing."""
    archive.land(Raw("saved_listing", night, name, moment(), body))


def pending(db: sa.Connection) -> list[str]:
    """Ids of whose newest version arXiv has given no full record: at most a listing names it."""
    query = sa.select(papers.c.arxiv_id).where(papers.c.version.is_(None))
    return sorted({*db.scalars(query), *hinted_only(db)})


def ids_to_ask(db: sa.Connection, night: str, window: int = WINDOW) -> list[str]:
    """The ids to ask arXiv for on `night`: pending, listed with a refresh owed, announced.

    An announced paper is asked for unless OAI-PMH has told of it since: a replacement brings a
    version that its listing does not name. A listed paper is asked for again until the last night
    of its window, for versions and withdrawals that come late. Each id is asked once a night; one
    that arXiv did not know n times waits 2**(n-1) nights, 32 at most: ids appear at the API some
    days late, or never.
    """
    notes = db.execute(sa.select(asked))
    waiting = {n.arxiv_id for n in notes if not _due(n.last_night, n.unknown, night)}
    wanted = {*pending(db), *refresh_owed(db, window), *announcement_owed(db)}
    return sorted(wanted - waiting)


def in_batches(ids: list[str]) -> Iterator[list[str]]:
    """`ids` in batches that arXiv's API takes."""
    for start in range(0, len(ids), arxiv_api.BATCH):
        yield ids[start : start + arxiv_api.BATCH]


def _due(last_night: str, unknown: int, night: str) -> bool:
    waited = len(days_between(last_night, night)) - 1 if last_night < night else 0
    return waited >= min(1 << max(unknown - 1, 0), 32)


def count_entries(pages: Iterable[Parsed]) -> int:
    """Entries on all pages; a paper that moved from one to the next in between counts once."""
    pages = list(pages)
    return len(_listed(pages)) + sum(len(page.rejected) for page in pages)


def readable(parsed: Parsed, url: str) -> Parsed:
    """`parsed`; raises SourceChanged for a page of which not a single entry can be read."""
    if parsed.rejected and not parsed.observations:
        raise SourceChanged(f"no entry can be read: {parsed.rejected[0].reason}", url)
    return parsed


def land(archive: Archive, kind: str, partition: str, response: Response, about: str = "") -> None:
    """Write a response to the archive as it came."""
    archive.land(Raw(kind, partition, response.url, response.received_at, response.body, about))


def _fetch_api(
    client: Client, upstreams: Upstreams, archive: Archive, day: str, pages: list[Parsed]
) -> None:
    """Each page is landed before it is read; an unreadable one stays, and raises SourceChanged."""
    for page in huggingface.fetch_day(client, upstreams, day):
        land(archive, DAILY_API, day, page)
        parsed = huggingface.parse_api(page.body, day, page.received_at)
        pages.append(readable(parsed, page.url))


def _fetch_listing(client: Client, upstreams: Upstreams, archive: Archive, day: str) -> Parsed:
    page = huggingface.fetch_listing(client, upstreams, day)
    land(archive, DAILY_LISTING, day, page)
    return readable(huggingface.parse_listing(page.body, day, page.received_at), page.url)


def _listed(pages: Iterable[Parsed]) -> set[str]:
    return {o.arxiv_id for page in pages for o in page.observations}


def _repeated_day(archive: Archive, day: str, listed: set[str]) -> str | None:
    """The listed day before `day`, over a weekend, if it had the very same papers."""
    for before in (shifted(day, -n) for n in (1, 2, 3)):
        if earlier := _last_listed(archive, before):
            return before if earlier == listed else None
    return None


def _last_listed(archive: Archive, day: str) -> set[str]:
    """The papers of `day` as they came the last time, from its last page back to its first."""
    names = (name for kind in (DAILY_API, DAILY_LISTING) for name in archive.names(kind, day))
    listed: set[str] = set()
    for name in sorted(names, key=lambda name: name.rpartition("/")[2], reverse=True):
        try:
            raw = archive.read(name)
            parse = huggingface.parse_api if raw.kind == DAILY_API else huggingface.parse_listing
            listed |= _listed([parse(raw.body, day, raw.received_at)])
        except SourceChanged:  # for the record to report
            continue
        if listed and "&p=" not in raw.url:
            break
    return listed


def _suspect(response: Response, asked: int) -> SourceChanged | None:
    """Why an answer tells nothing of the ids asked for; one id alone may well be unknown."""
    try:
        empty = arxiv_api.parse(response.body, response.received_at) == ((), ())
    except SourceChanged as error:
        return SourceChanged(error.message, response.url, response.status)
    if empty and asked > 1:
        return SourceChanged("arXiv answered a batch of ids with nothing", response.url)
    return None
