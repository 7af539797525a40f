"""arXiv's announcements to the archive: what was listed in a category on which day.

The catch-up pages count: a day is closed when every entry that they speak of has come. The daily
feed is a hint beside them, which never closes a catch-up day. Days are listing days, see
`ingest.calendar`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta

from ingest.calendar import announcement_days, is_expected_empty, previous_announcement_day
from ingest.collect import close
from ingest.errors import SourceChanged, SourceError, SourceUnavailable
from ingest.http import Client, Response
from ingest.ledger import CLOSED, Partition, days_between, shifted
from ingest.raw import Archive, Raw
from ingest.sources import arxiv_catchup, arxiv_feed
from ingest.sources.arxiv_catchup import DAYS_KEPT, Page
from ingest.upstreams import Upstreams

CATCHUP, NEW, FEED = "arxiv_catchup", "arxiv_new", "arxiv_feed"
"""Kinds of landed responses; with the category the ledger's sources, as in `arxiv_feed/cs.CL`."""

WINDOW = 3
"""Listings behind the newest that are asked for again: arXiv's own batches can come in parts."""


def open_announcements(
    known: list[Partition], category: str, night: str, first_wanted: str
) -> list[str]:
    """The listing days to ask for on `night`: those not settled that arXiv still has.

    A day is settled once it was fetched whole when three listings were out after it, or later.
    A holiday is asked for as any weekday, until it has come back empty: a wrong calendar costs a
    request, not a day.
    """
    first = max(first_wanted, oldest_kept(night))
    days = days_between(first, night) if first <= night else []
    of_category = [p for p in known if p.source == f"{CATCHUP}/{category}"]
    settled = {p.day for p in of_category if p.state in CLOSED and _is_final(p)}
    weekdays = {day for day in days if date.fromisoformat(day).weekday() < 5}
    again = announcement_days(first, night)[-1 - WINDOW :] if days else []
    return sorted((weekdays - settled) | set(again))


def oldest_kept(today: str) -> str:
    """The oldest day that arXiv's catch-up pages have on `today`."""
    return shifted(today, -DAYS_KEPT)


def fetch_announcement(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    category: str,
    day: str,
    night: str | None = None,
) -> int:
    """Land every page of a day's listing, and how it ended; gives the number of entries.

    `night` is the one it is fetched on, the day itself if None. Raises the SourceError that kept it
    from being whole. Where catch-up refuses or is not what it was, the page of the newest listing
    is tried, which may be that of `day`.
    """
    source, pages = f"{CATCHUP}/{category}", list[Page]()
    try:
        try:
            _catch_up(client, upstreams, archive, category, day, pages)
        except SourceUnavailable:
            raise
        except SourceError as refused:
            pages = _newest_listing(client, upstreams, archive, category, day, refused)
    except SourceError as failure:
        close(archive, source, day, _count(pages), str(failure), night=night)
        raise
    before = previous_announcement_day(day)
    if _came_before(archive, category, before, pages):
        # Nothing of it is new, so nothing was received.
        close(archive, source, day, 0, night=night, repeats=before)
        raise SourceChanged(f"stale: the same {_count(pages)} papers as on {before}")
    empty = not _count(pages) and (
        is_expected_empty(day) or _is_left_out(client, upstreams, archive, category, day, pages[-1])
    )
    close(archive, source, day, _count(pages), night=night, expected_empty=empty)
    return _count(pages)


def fetch_feed_hint(
    client: Client, upstreams: Upstreams, archive: Archive, category: str, day: str
) -> int:
    """Land the feed of `day`, and how it ended; gives the number of items.

    The feed only has the newest batch: one of another day, or with the papers of a batch before,
    raises SourceChanged("stale...") and closes the day as stale.
    """
    source = f"{FEED}/{category}"
    try:
        response = arxiv_feed.fetch(client, upstreams, [category])
        _land(archive, FEED, day, response, category)
        parsed = arxiv_feed.parse(response.body, response.received_at)
        batch = arxiv_feed.batch_day(response.body) or day
    except SourceError as failure:
        close(archive, source, day, 0, str(failure))
        raise
    quiet = is_expected_empty(day) and (batch < day or not any(parsed))
    if not quiet and (repeats := _repeated_batch(archive, category, day, response.body)):
        close(archive, source, day, 0, repeats=repeats)
        raise SourceChanged(f"stale: the feed of {day} is due, that of {repeats} came once more")
    received = 0 if quiet else len(parsed.observations) + len(parsed.rejected)
    close(archive, source, day, received, expected_empty=quiet)
    return received


def _catch_up(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    category: str,
    day: str,
    pages: list[Page],
) -> None:
    def page(number: int) -> Response:
        response = arxiv_catchup.fetch(client, upstreams, category, day, number)
        _land(archive, CATCHUP, day, response, category)
        return response

    _all_pages(lambda: page(len(pages) + 1), day, pages)


def _newest_listing(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    category: str,
    day: str,
    refused: SourceError,
) -> list[Page]:
    """All pages of the newest listing if it is that of `day`; raises `refused` otherwise."""
    pages: list[Page] = []

    def page() -> Response:
        response = arxiv_catchup.fetch_new(client, upstreams, category, _count(pages))
        _land(archive, NEW, day, response, category)
        return response

    try:
        _all_pages(page, day, pages)
    except SourceError:
        raise refused from None
    return pages


def _all_pages(fetch_next: Callable[[], Response], day: str, pages: list[Page]) -> None:
    """Pages until the total is reached that they speak of; raises SourceChanged if it never is."""
    while not pages or _count(pages) < pages[-1].total:
        before = _count(pages)
        response = fetch_next()
        pages.append(arxiv_catchup.read(response.body, day, response.received_at))
        if _count(pages) == before and pages[-1].total:
            said = f"{before} of {pages[-1].total} entries came, and no more"
            raise SourceChanged(said, response.url)


def _types(pages: list[Page]) -> dict[str, str]:
    return _joined(page.types for page in pages)


def _joined(parts: Iterable[dict[str, str]]) -> dict[str, str]:
    return {arxiv_id: kind for part in parts for arxiv_id, kind in part.items()}


def _count(pages: list[Page]) -> int:
    """Entries on all pages; one that moved to the next page between two requests counts once."""
    return len(_types(pages)) + sum(len(page.parsed.rejected) for page in pages)


def _is_final(partition: Partition) -> bool:
    """Whether it was fetched whole after its window, in which more of it may come."""
    if is_expected_empty(partition.day):
        return True
    later = str(date.fromisoformat(partition.day) + timedelta(days=1))
    night = partition.night or partition.day
    return len(announcement_days(later, night)) >= WINDOW


def _came_before(archive: Archive, category: str, before: str, pages: list[Page]) -> bool:
    """Whether the listing is that of the day before once more."""
    # By address: the newest answer of each page.
    landed = {raw.url: _types_on(raw) for raw in _landed(archive, CATCHUP, category, before)}
    return _is_again(_types(pages), _joined(landed.values()))


def _is_again(came: dict[str, str], before: dict[str, str]) -> bool:
    """Whether these are the very same papers; only replacements may come twice, if few."""
    return came == before and bool({"new", "cross"} & set(came.values()))


def _landed(
    archive: Archive, kind: str, category: str, day: str = "*", *, newest_first: bool = False
) -> Iterator[Raw]:
    """What has landed and can be read, in the order of receipt."""
    names = list(archive.names(kind, day))
    for name in reversed(names) if newest_first else names:
        try:
            raw = archive.read(name)
        except SourceChanged:  # a damaged file is for the record to report
            continue
        if raw.about == category:
            yield raw


def _types_on(raw: Raw) -> dict[str, str]:
    """Announce types by id; none where the response cannot be read."""
    try:
        if raw.kind == FEED:
            return arxiv_feed.announce_types(raw.body)
        return arxiv_catchup.read(raw.body, raw.partition, raw.received_at).types
    except SourceChanged:
        return {}


def _is_left_out(
    client: Client, upstreams: Upstreams, archive: Archive, category: str, day: str, page: Page
) -> bool:
    """Whether arXiv itself passes over `day`: the page of the day before links to a later one."""
    if page.later_day is None:
        return False
    before = previous_announcement_day(day)
    try:
        response = arxiv_catchup.fetch(client, upstreams, category, before)
        _land(archive, CATCHUP, before, response, category)
        later = arxiv_catchup.read(response.body, before, response.received_at).later_day
    except SourceError:
        return False
    return later is not None and later > day


def _repeated_batch(archive: Archive, category: str, day: str, body: bytes) -> str | None:
    """The day whose batch this is, if it is not that of `day`."""
    batch, types = arxiv_feed.batch_day(body), arxiv_feed.announce_types(body)
    if batch not in (None, day):
        return batch
    for raw in _landed(archive, FEED, category, newest_first=True):
        if raw.partition < day and (before := _types_on(raw)):
            return raw.partition if _is_again(types, before) else None
    return None


def _land(archive: Archive, kind: str, day: str, response: Response, category: str) -> None:
    archive.land(Raw(kind, day, response.url, response.received_at, response.body, about=category))
