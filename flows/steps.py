"""The steps of a night as plain functions of a home and dates; Prefect is not needed to call them.

The environment is read here, at the edge: where the upstreams are, and which model embeds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa

from flows.home import archive_of, open_home
from flows.progress import progress, say
from ingest import collect, ledger, verify
from ingest.catalogue import count, links, open_catalogue, papers
from ingest.errors import BadInput, PaperfeedError, SourceError
from ingest.http import Client
from ingest.layout import Home
from ingest.links import find_repos
from ingest.raw import Archive
from ingest.record import record_landed
from ingest.record import retry_quarantined as retry
from ingest.recorded import Tally
from ingest.sources import saved_listing
from ingest.text import title_key
from ingest.titles import all_titles, titles_to_ask
from ingest.upstreams import Upstreams


class Enrichment(NamedTuple):
    """How arXiv was asked: for how many papers, and why it stopped, if it did."""

    asked: int
    failure: str | None = None


def open_days(home: Path, night: str, window: int) -> list[str]:
    """What to ask for on `night`: the last `window` days and every older open one."""
    with open_home(home) as engine, engine.connect() as db:
        return ledger.open_days(ledger.partitions(db, collect.DAILY), night, window)


def fetch_day(home: Path, day: str, night: str) -> int:
    """Land Daily Papers of `day` on `night`; raises SourceError."""
    client, upstreams, archive = collector(home)
    return collect.fetch_day(client, upstreams, archive, day, night)


def leave_open(home: Path, day: str, reason: str) -> None:
    """Note that `day` was wanted and not asked for."""
    collect.close(archive_of(home), collect.DAILY, day, 0, reason)


def record(home: Path) -> list[Tally]:
    """Everything landed and not yet recorded goes into the catalogue."""
    with open_home(home) as engine:
        return record_landed(engine, archive_of(home))


def enrich(home: Path, night: str) -> Enrichment:
    """Land arXiv's metadata for pending papers and those whose refresh is owed.

    At the first sign that arXiv does not want to answer the rest is left pending.
    """
    with open_home(home) as engine, engine.connect() as db:
        ids = collect.ids_to_ask(db, night)
    asked, failure = _ask_arxiv(home, ids, night)
    if ids:
        collect.close(archive_of(home), collect.ARXIV, night, asked, failure)
    return Enrichment(asked, failure)


def _ask_arxiv(home: Path, ids: list[str], night: str) -> tuple[int, str | None]:
    client, upstreams, archive = collector(home)
    asked = 0
    with progress("arXiv metadata", len(ids)) as advance:
        for batch in collect.in_batches(ids):
            try:
                collect.fetch_ids(client, upstreams, archive, batch, night)
            except SourceError as error:
                say(f"arXiv is left for the next run: {error}")
                return asked, str(error)
            asked += len(batch)
            advance(len(batch))
    return asked, None


def search_titles(home: Path, night: str) -> str | None:
    """Land arXiv's answers for imported titles that nobody knows; gives why it stopped, if so."""
    with open_home(home) as engine, engine.connect() as db:
        wanted = titles_to_ask(db)
    client, upstreams, archive = collector(home)
    with progress("arXiv title search", len(wanted)) as advance:
        for title in wanted:
            try:
                collect.fetch_title(client, upstreams, archive, title, night)
            except BadInput:
                say(f"no search can be made of the title {title!r}")
            except SourceError as error:
                say(f"titles are left unresolved for now: {error}")
                return str(error)
            advance(1)
    return None


def import_listing(home: Path, name: str, body: bytes, night: str) -> list[dict[str, Any]]:
    """Keep a saved listing and resolve what can be resolved; gives its entries, ready for JSON."""
    listing = saved_listing.parse(body)  # refused before anything is kept
    collect.import_file(archive_of(home), body, name, night)
    record(home)
    search_titles(home, night)
    record(home)
    with open_home(home) as engine, engine.connect() as db:
        ids = {t.title_key: t.arxiv_id for t in all_titles(db)}
    return [_entry(entry, ids[title_key(entry.title)]) for entry in listing.entries]


def verify_links(home: Path, night: str) -> verify.Verification:
    """Ask GitHub for the repositories due on `night`, within the night's budget."""
    client, upstreams, archive = collector(home)
    token = os.environ.get("GITHUB_TOKEN")
    with open_home(home) as engine:
        return verify.verify(client, upstreams, archive, engine, night, token=token)


def replay(home: Path) -> list[Tally]:
    """Build the catalogue anew from `raw/` alone, and put it in the place of the old one."""
    layout, archive = Home(home), archive_of(home)
    names = sum(1 for _ in archive.names())
    if not names:
        raise PaperfeedError(f"{layout.raw} holds nothing to replay: run  paperfeed nightly  first")
    fresh = layout.catalogue.with_suffix(".replayed")
    _remove_database(fresh)
    engine = open_catalogue(fresh)
    with progress("replaying", names) as advance:
        tallies = record_landed(engine, archive, advance)
    _fold_log(engine)
    _fold_old(layout.catalogue)
    fresh.replace(layout.catalogue)
    _remove_log(layout.catalogue)
    return tallies


def retry_quarantined(home: Path) -> list[Tally]:
    """Read again, with today's parsers, what could not be read."""
    with open_home(home) as engine:
        return retry(engine, archive_of(home))


def has_papers(home: Path) -> bool:
    """Whether there is anything to publish."""
    with open_home(home) as engine, engine.connect() as db:
        return count(db, papers) > 0


def states(home: Path, days: Iterable[str]) -> list[ledger.Partition]:
    """How `days` stand in the ledger, at every source."""
    wanted = set(days)
    with open_home(home) as engine, engine.connect() as db:
        return [p for p in ledger.partitions(db) if p.day in wanted]


def count_pending(home: Path) -> int:
    """Papers that arXiv has not yet answered for."""
    with open_home(home) as engine, engine.connect() as db:
        return len(collect.pending(db))


def count_links(home: Path) -> int:
    """Papers with a repository of their own."""
    with open_home(home) as engine, engine.connect() as db:
        own = sa.select(sa.func.count(links.c.arxiv_id.distinct())).where(links.c.own)
        return db.scalar(own) or 0


def collector(home: Path) -> tuple[Client, Upstreams, Archive]:
    """What a fetch needs: the polite client, where the services stand, where answers land."""
    upstreams = Upstreams.from_env(os.environ)
    return _client(upstreams), upstreams, archive_of(home)


@lru_cache(maxsize=1)
def _client(upstreams: Upstreams) -> Client:
    """One for the whole run: it knows which limits are used up, and keeps connections."""
    return Client.of(upstreams, _limit_folder(upstreams))


def _limit_folder(upstreams: Upstreams) -> Path:
    """One folder for each arXiv, whatever the home: its limit holds over the whole machine."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    host = urlsplit(upstreams.arxiv_api).netloc.replace(":", "-")
    return Path(tempfile.gettempdir()) / f"paperfeed-{user}" / host


def _entry(entry: saved_listing.Entry, arxiv_id: str | None) -> dict[str, Any]:
    repos = find_repos(entry.abstract or "", "abstract", entry.title)
    return {**asdict(entry), "arxiv_id": arxiv_id, "repos": [repo.name for repo in repos]}


def _fold_log(engine: sa.Engine) -> None:
    """Fold the write-ahead log into the file, so that the file alone is the catalogue."""
    with engine.connect() as db:
        db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


def _fold_old(path: Path) -> None:
    """Leave nothing in the old log that could be taken for the new catalogue's."""
    try:
        _fold_log(open_catalogue(path))
    except PaperfeedError:  # damaged: a reason to replay
        _remove_log(path)


def _remove_log(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _remove_database(path: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_log(path)
