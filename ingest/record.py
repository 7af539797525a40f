"""What was landed becomes what is known: raw entries into the catalogue, each exactly once.

The same function serves the night, the recovery after a killed one, and `paperfeed replay`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import sqlalchemy as sa

from ingest import ledger, listings, verify, window
from ingest.announced import note_announced, note_told
from ingest.batch import batch_of
from ingest.catalogue import asked, quarantine, unlist
from ingest.collect import DAILY, WINDOW
from ingest.errors import SourceChanged, SourceError
from ingest.ledger import Partition, State
from ingest.paper import Parsed, Rejected
from ingest.raw import Archive, Raw
from ingest.recorded import Tally, keep, note_response, unrecorded
from ingest.sources import (
    arxiv_api,
    arxiv_catchup,
    arxiv_feed,
    bulk,
    github,
    huggingface,
    oai,
    saved_listing,
)
from ingest.text import title_key
from ingest.titles import keep_entries, resolve_titles, wanted_titles

DAMAGED = "damaged"
"""The kind of an entry whose file cannot be unpacked."""


def record_landed(
    engine: sa.Engine, archive: Archive, progress: Callable[[int], None] | None = None
) -> list[Tally]:
    """Record every raw entry that the catalogue has not seen, in the order of receipt."""
    tallies = []
    for name in unrecorded(engine, archive):
        tallies.append(_record(engine, name, _load(archive, name)))
        if progress:
            progress(1)
    return tallies


def retry_quarantined(engine: sa.Engine, archive: Archive) -> list[Tally]:
    """Read again what could not be read; what can be by now is recorded and leaves quarantine."""
    with engine.connect() as db:
        names = list(
            db.scalars(sa.select(quarantine.c.response).distinct().order_by(quarantine.c.response))
        )
    return [_read_again(engine, name, _load(archive, name)) for name in names]


def _load(archive: Archive, name: str) -> Raw:
    """The entry, or a stand-in for one whose file is damaged: that must not stop the others."""
    try:
        return archive.read(name)
    except SourceChanged as error:
        _, partition, _ = name.split("/")
        return Raw(DAMAGED, partition, "", "", error.message.encode())


def _read_again(engine: sa.Engine, name: str, raw: Raw) -> Tally:
    with engine.begin() as db:
        db.execute(quarantine.delete().where(quarantine.c.response == name))
        return _enter(db, name, raw)


def _record(engine: sa.Engine, name: str, raw: Raw) -> Tally:
    with engine.begin() as db:
        note_response(db, name, raw)
        return _enter(db, name, raw)


def _enter(db: sa.Connection, name: str, raw: Raw) -> Tally:
    """What `raw` says goes into the catalogue, what of it cannot be read into quarantine."""
    parsed = _read(db, raw)
    batch = batch_of(parsed.observations, later=raw.kind == bulk.KIND)
    tally = keep(db, name, raw, batch, parsed.rejected)
    if raw.kind != "closing":  # half of all entries, and none names a paper
        resolve_titles(db)
    return tally


def _read(db: sa.Connection, raw: Raw) -> Parsed:
    """What `raw` says; a response that nobody can read is one rejected entry."""
    try:
        return READERS[raw.kind](db, raw)
    except SourceError as error:
        text = raw.body.decode(errors="replace")
        return Parsed((), (Rejected(error.message, text),))


def _daily_api(_: sa.Connection, raw: Raw) -> Parsed:
    return huggingface.parse_api(raw.body, raw.partition, raw.received_at)


def _daily_listing(_: sa.Connection, raw: Raw) -> Parsed:
    return huggingface.parse_listing(raw.body, raw.partition, raw.received_at)


def _arxiv_ids(db: sa.Connection, raw: Raw) -> Parsed:
    """Answers, and the note of which ids had none."""
    parsed = arxiv_api.parse(raw.body, raw.received_at)
    answered = {o.arxiv_id for o in parsed.observations}
    for arxiv_id in filter(None, raw.about.split(",")):
        note_asked(db, arxiv_id, raw.partition, arxiv_id in answered)
    return parsed


def _arxiv_title(db: sa.Connection, raw: Raw) -> Parsed:
    """Of a title search only the papers that a saved listing asks for are taken."""
    parsed = arxiv_api.parse(raw.body, raw.received_at)
    wanted = wanted_titles(db, asked_for=raw.about, night=raw.partition)
    return Parsed(tuple(o for o in parsed.observations if title_key(o.title or "") in wanted))


def _saved_listing(db: sa.Connection, raw: Raw) -> Parsed:
    """Its titles are kept; a page saved as HTML says as much as one that was fetched."""
    keep_entries(db, saved_listing.parse(raw.body), raw.received_at)
    try:
        return huggingface.parse_listing(raw.body, None, raw.received_at)
    except SourceChanged:  # saved as text
        return Parsed(())


def _oai(db: sa.Connection, raw: Raw) -> Parsed:
    parsed = oai.parse(raw.body, raw.received_at).parsed
    note_told(db, {o.arxiv_id for o in parsed.observations}, raw.partition)
    return parsed


def _catchup(db: sa.Connection, raw: Raw) -> Parsed:
    return _listing(db, arxiv_catchup.read(raw.body, raw.partition, raw.received_at))


def _newest_listing(db: sa.Connection, raw: Raw) -> Parsed:
    """It may be that of another day than was hoped for: that is for its fetch to judge."""
    return _listing(db, arxiv_catchup.read(raw.body, None, raw.received_at))


def _listing(db: sa.Connection, page: arxiv_catchup.Page) -> Parsed:
    """What it shows of the papers, and the note that they were announced."""
    note_announced(db, page.types, page.day)
    return page.parsed


def _feed(_: sa.Connection, raw: Raw) -> Parsed:
    return arxiv_feed.parse(raw.body, raw.received_at)


def _closing(db: sa.Connection, raw: Raw) -> Parsed:
    """The end of a fetch, as `ingest.collect` landed it."""
    end = json.loads(raw.body)
    judged = ledger.judge(
        end["source"],
        raw.partition,
        end["received"],
        end.get("failure"),
        expected_empty=end.get("expected_empty", False),
        repeats=end.get("repeats"),
    )
    judged = judged._replace(night=end["night"])
    if judged.source == DAILY:
        judged = _doubted(db, judged, end.get("repeats"))
    ledger.close(db, judged)
    return Parsed(())


def _doubted(db: sa.Connection, judged: Partition, repeats: str | None) -> Partition:
    """How a day of Daily Papers stands; what a stale one listed was not listed on that day."""
    since = ledger.shifted(judged.day, -7 * ledger.WEEKS)
    judged = ledger.doubt(judged, ledger.partitions(db, DAILY, since), WINDOW)
    if judged.state is State.STALE and repeats:
        unlist(db, judged.day, repeats)
    return judged


def _damaged(_: sa.Connection, raw: Raw) -> Parsed:
    raise SourceChanged(raw.body.decode())


def note_asked(db: sa.Connection, arxiv_id: str, night: str, answered: bool) -> None:
    """Remember that arXiv was asked, and how often in a row it did not know the id."""
    before = db.execute(sa.select(asked).where(asked.c.arxiv_id == arxiv_id)).first()
    unknown = 0 if answered else (before.unknown if before else 0) + 1
    row = {"arxiv_id": arxiv_id, "last_night": night, "unknown": unknown}
    db.execute(asked.insert().prefix_with("OR REPLACE").values(row))


READERS: dict[str, Callable[[sa.Connection, Raw], Parsed]] = {
    "huggingface_api": _daily_api,
    "huggingface_listing": _daily_listing,
    **dict.fromkeys(listings.KINDS, lambda _, raw: listings.read(raw)),
    "arxiv_ids": _arxiv_ids,
    "arxiv_title": _arxiv_title,
    window.KIND: lambda _, raw: arxiv_api.parse(raw.body, raw.received_at),
    "saved_listing": _saved_listing,
    "oai": _oai,
    "arxiv_catchup": _catchup,
    "arxiv_new": _newest_listing,
    "arxiv_feed": _feed,
    bulk.KIND: lambda _, raw: bulk.parse(raw.body, raw.received_at),
    "closing": _closing,
    DAMAGED: _damaged,
    github.SOURCE: verify.keep_answer,
}
