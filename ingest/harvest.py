"""From arXiv's OAI-PMH to the archive: a set page by page, and on from where a kill left it.

The list moves while it is read: a record that changes goes to its end, and all behind it move up a
place, past the page that is asked for next. So every page is asked for with the last records of the
one before. One that holds none of them is asked for again, from where nothing can be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from ingest.collect import close
from ingest.errors import SourceChanged, SourceError
from ingest.http import Client, Response
from ingest.ledger import Partition, State
from ingest.raw import Archive, Raw
from ingest.sources import oai
from ingest.sources.oai_records import SOURCE
from ingest.upstreams import Upstreams

KIND = SOURCE
OVERLAP_DAYS = 3
"""Days that a harvest asks for again: what moved past one page is met by the next harvest."""

OVERLAP_RECORDS = 5
MAX_RETURNS = 10
"""How often a harvest goes back to where nothing can be missing before it leaves the rest."""


class Point(NamedTuple):
    """How far a harvest has come: a page landed, read, and known to follow the one before."""

    name: str
    """Of the page in the archive."""
    page: oai.Page
    received: int
    """Records up to here, those that came with two pages counted once."""
    returns: int = 0
    """How often this run had to go back so far."""


def harvest(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    set_spec: str,
    since: str,
    until: str | None = None,
    *,
    night: str,
    prefix: str = oai.FULLEST,
) -> int:
    """Land every record of a set changed since a day, and how it ended; gives their number.

    Goes on from the last page that an earlier run of this night landed for the same days. Without
    `until` the night is closed in the ledger, with it the day until which the set is then known.
    Raises SourceError where arXiv fails: the next run goes on from there.
    """
    window = oai.Window(set_spec, since, until, prefix)
    steps = _Steps(client, upstreams, archive, window, night)
    source, day = ledger_name(set_spec), _closing_day(window, night)
    point = resume_point(archive, window, night)
    try:
        while point is None or not point.page.complete:
            point = steps.first() if point is None else steps.after(point)
    except SourceError as failure:
        received = point.received if point else 0
        close(archive, source, day, received, str(failure), night=night)
        raise
    # arXiv says in so many words that nothing matches; `next_since` does not take it for good.
    empty = not point.received
    close(archive, source, day, point.received, night=night, expected_empty=empty)
    return point.received


def ledger_name(set_spec: str) -> str:
    """The ledger's name for a set: `oai/cs:cs:LG`."""
    return f"{SOURCE}/{set_spec}"


def next_since(
    partitions: Iterable[Partition], set_spec: str, overlap_days: int = OVERLAP_DAYS
) -> str | None:
    """The first day that the next harvest has to ask for; None where none has brought records yet.

    A night without any moves nothing on: to ask for its days again costs next to nothing.
    """
    source = ledger_name(set_spec)
    good = [p.day for p in partitions if p.source == source and p.state is State.OK]
    return str(date.fromisoformat(max(good)) - timedelta(days=overlap_days)) if good else None


def resume_point(archive: Archive, window: oai.Window, night: str) -> Point | None:
    """How far the harvest of `window` has come on `night`; None where it begins, or has ended."""
    source, day = ledger_name(window.set_spec), _closing_day(window, night)
    for name in reversed(list(archive.names(KIND, night))):
        raw = archive.read(name)
        about = json.loads(raw.about)
        if {key: about[key] for key in _asked(window)} != _asked(window):
            continue
        if _ended_since(archive, source, day, raw.received_at):
            return None
        if point := _landed_point(archive, name, raw):
            return point
    return None


@dataclass(frozen=True, slots=True)
class _Steps:
    """Asking for one page after the other."""

    client: Client
    upstreams: Upstreams
    archive: Archive
    window: oai.Window
    night: str

    def first(self) -> Point:
        response = oai.fetch(self.client, self.upstreams, self.window)
        point = self._land(response, None, None)
        if point.page.refused:
            raise SourceChanged("arXiv refuses a token where none was sent", response.url)
        return point

    def after(self, before: Point) -> Point:
        """The next page: by arXiv's token, or by one of our own where that has expired."""
        given = before.page.token.text if before.page.token else ""
        if before.returns > MAX_RETURNS:
            raise SourceChanged("arXiv's list moves faster than it can be read")
        for token in (given, oai.token_at(self.window, before.received)):
            for records in (OVERLAP_RECORDS, None):
                asked, _ = oai.step_back(token, records)
                response = oai.fetch_next(self.client, self.upstreams, asked)
                point = self._land(response, asked, before)
                if point.page.refused:
                    break
                if _follows(point.page, asked, before.page):
                    return point._replace(returns=before.returns + (records is None))
        message = "arXiv refuses its own resumption token, and one made anew"
        raise SourceChanged(message, response.url)

    def _land(self, response: Response, token: str | None, before: Point | None) -> Point:
        """Land a page, then read it: an unreadable one stays, and raises SourceError."""
        about = {
            **_asked(self.window),
            "token": token,
            "after": before.name if before else None,
            "received": before.received if before else 0,
        }
        raw = Raw(
            KIND,
            self.night,
            response.url,
            response.received_at,
            response.body,
            json.dumps(about),
        )
        name = self.archive.land(raw)
        return _point(name, _read(raw), before)


def _asked(window: oai.Window) -> dict[str, str | None]:
    """A window as the archive notes it."""
    return dict(zip(("set", "from", "until", "prefix"), window, strict=True))


def _closing_day(window: oai.Window, night: str) -> str:
    return min(night, window.until or night)


def _read(raw: Raw) -> oai.Page:
    """A landed page; one of which not a single record can be read has changed."""
    page = oai.parse(raw.body, raw.received_at)
    if page.parsed.rejected and not page.parsed.observations:
        reason = page.parsed.rejected[0].reason
        raise SourceChanged(f"no record can be read: {reason}", raw.url)
    return page


def _point(name: str, page: oai.Page, before: Point | None) -> Point:
    known = before.page.identifiers if before else ()
    received = before.received if before else 0
    return Point(name, page, received + len(set(page.identifiers) - set(known)))


def _follows(page: oai.Page, token: str, before: oai.Page) -> bool:
    """Whether nothing can be missing between the two: they meet, or `page` is a list's start."""
    _, at_start = oai.step_back(token, 0)
    return at_start or not set(before.identifiers).isdisjoint(page.identifiers)


def _landed_point(archive: Archive, name: str, raw: Raw) -> Point | None:
    """The point that a landed page stands for, None for a page that a harvest cannot go on from."""
    about = json.loads(raw.about)
    try:
        page = _read(raw)
        earlier = _read(archive.read(about["after"])) if about["after"] else None
    except SourceError:
        return None
    if page.refused or (earlier and not _follows(page, about["token"], earlier)):
        return None
    before = Point(about["after"], earlier, about["received"]) if earlier else None
    return _point(name, page, before)


def _ended_since(archive: Archive, source: str, day: str, moment: str) -> bool:
    """Whether a harvest was closed well after `moment`."""
    notes = (archive.read(name) for name in archive.names("closing", day))
    ends = (json.loads(note.body) for note in notes if note.received_at > moment)
    return any(end["source"] == source and not end["failure"] for end in ends)
