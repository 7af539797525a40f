"""The steps of a night as plain functions of a home and dates; Prefect is not needed to call them.

The environment is read here, at the edge: where the upstreams are, and which model embeds.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from filelock import FileLock, Timeout

from flows.progress import progress, say
from ingest import bulk_import, collect, ledger, verify
from ingest.catalogue import all_papers, count, open_catalogue, papers
from ingest.errors import BadInput, Busy, PaperfeedError, SourceError
from ingest.http import Client
from ingest.layout import Home
from ingest.links import find_repos
from ingest.raw import Archive
from ingest.record import Tally, record_landed
from ingest.record import retry_quarantined as retry
from ingest.sources import bulk, saved_listing
from ingest.text import title_key
from ingest.titles import all_titles, titles_to_ask
from ingest.upstreams import Upstreams


class Enrichment(NamedTuple):
    """How arXiv was asked: for how many papers, and why it stopped, if it did."""

    asked: int
    failure: str | None = None


@contextmanager
def run_lock(home: Path) -> Iterator[None]:
    """Only one run writes at a time; the lock goes with the process that held it."""
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(Home(home).lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(f"another paperfeed run is writing to {home}: wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


def today() -> str:
    """The UTC day: Hugging Face refuses any later one."""
    return str(datetime.now(UTC).date())


def checked_day(text: str) -> str:
    """`text` as a day that Daily Papers can have; raises BadInput."""
    example = "give a day such as 2025-03-03"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise BadInput(f"{text!r} is not a date: {example}")
    try:
        day = str(date.fromisoformat(text))
    except ValueError:
        raise BadInput(f"{text!r} is not a day of the calendar: {example}") from None
    if day > today():
        raise BadInput(f"{day} is in the future (today is {today()}, UTC): give an earlier day")
    if day < "2023-05-04":
        raise BadInput(f"{day} is before Daily Papers began: give 2023-05-04 or later")
    return day


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
    collect.close(_archive(home), collect.DAILY, day, 0, reason)


def record(home: Path) -> list[Tally]:
    """Everything landed and not yet recorded goes into the catalogue."""
    with open_home(home) as engine:
        return record_landed(engine, _archive(home))


def enrich(home: Path, night: str) -> Enrichment:
    """Land arXiv's metadata for pending papers and those whose refresh is owed.

    At the first sign that arXiv does not want to answer the rest is left pending.
    """
    with open_home(home) as engine, engine.connect() as db:
        ids = collect.ids_to_ask(db, night)
    asked, failure = _ask_arxiv(home, ids, night)
    if ids:
        collect.close(_archive(home), collect.ARXIV, night, asked, failure)
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


def is_bulk(file: Path) -> bool:
    """Whether `file` holds records, one a line, rather than a saved listing; raises BadInput."""
    try:
        with file.open("rb") as opened:
            return bulk.is_bulk(opened.read(64), file.name)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from error


def import_bulk(home: Path, file: Path, night: str) -> Tally:
    """Land and record every line of a file of records; raises BadInput."""
    size = file.stat().st_size
    with open_home(home) as engine, progress(f"{file.name} (bytes)", size) as done:
        return bulk_import.import_file(engine, _archive(home), file, night, done)


def import_listing(home: Path, name: str, body: bytes, night: str) -> list[dict[str, Any]]:
    """Keep a saved listing and resolve what can be resolved; gives its entries, ready for JSON."""
    listing = saved_listing.parse(body)  # refused before anything is kept
    collect.import_file(_archive(home), body, name, night)
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
    layout, archive = Home(home), _archive(home)
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
        return retry(engine, _archive(home))


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
        return sum(paper.repo is not None for paper in all_papers(db))


@contextmanager
def open_home(home: Path) -> Iterator[sa.Engine]:
    """The catalogue of `home`, let go at the end."""
    engine = open_catalogue(Home(home).catalogue)
    try:
        yield engine
    finally:
        engine.dispose()


def _archive(home: Path) -> Archive:
    return Archive(Home(home).raw)


def collector(home: Path) -> tuple[Client, Upstreams, Archive]:
    """What a fetch needs: the polite client, where the services stand, where answers land."""
    upstreams = Upstreams.from_env(os.environ)
    return _client(upstreams), upstreams, _archive(home)


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
