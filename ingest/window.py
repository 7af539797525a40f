"""A category's papers by their time of submission: from arXiv's API to the archive.

arXiv cuts long answers, and at times gives fewer entries than it counts. So a window is asked for
in slices that fit on one page, and a slice is whole once as many papers came as arXiv counts in it.
This is how days are caught up that arXiv's listings no longer reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from ingest.announcements import CATCHUP
from ingest.calendar import announcement_days
from ingest.collect import close, count_entries, land
from ingest.errors import SourceChanged, SourceError
from ingest.http import Client
from ingest.ledger import CLOSED, Partition, days_between, shifted
from ingest.paper import Parsed
from ingest.raw import Archive
from ingest.sources import arxiv_api
from ingest.sources.arxiv_api import Slice
from ingest.upstreams import Upstreams

KIND = "arxiv_window"
"""The kind of a landed slice; with the category the ledger's source, as in `arxiv_window/cs.CL`."""

Answer = tuple[int, Parsed]
"""How many papers arXiv counts in a slice, and those that came."""

SLICE_DAYS = 7
ASKS = 3
"""How often a slice is asked for that comes short, before it is halved."""

SHORTEST = timedelta(hours=1)
DELAY_DAYS = 4
"""From a submission on a Thursday to Monday's listing."""


def fetch_window(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    category: str,
    first: str,
    last: str,
    night: str,
) -> int:
    """Land every paper submitted from day `first` to `last` (GMT); gives their number.

    Each day is closed by itself. What an earlier run of this night landed is not asked for again.
    Raises the SourceError that kept it from being whole: the days before it are closed all the
    same, its own day is left partial.
    """
    source, landed = f"{KIND}/{category}", _all_landed(archive, night)
    steps = _Steps(client, upstreams, archive, category, night, landed)
    submitted = 0
    for days in _weeks(first, last):
        pages: list[Parsed] = []
        try:
            steps.fetch(Slice.of_days(days[0], days[-1]), pages)
        except SourceError as failure:
            close(archive, source, days[0], count_entries(pages), str(failure), night=night)
            raise
        on = Counter(_days_of_submission(pages).values())
        for day in days:
            close(archive, source, day, on[day], night=night, expected_empty=not on[day])
        submitted += sum(on[day] for day in days)
    return submitted


def open_windows(
    known: Iterable[Partition], category: str, first: str, last: str
) -> list[tuple[str, str]]:
    """The runs of days (GMT) to ask for, so that no listing from `first` to `last` is missing.

    A listing that was fetched whole is not; nor is a day that an earlier window has closed.
    """
    closed = {(p.source, p.day) for p in known if p.state in CLOSED}
    listings = announcement_days(first, last) if first <= last else []
    missing = [day for day in listings if (f"{CATCHUP}/{category}", day) not in closed]
    wanted = {shifted(day, -n) for day in missing for n in range(DELAY_DAYS + 1)}
    return _runs(sorted(day for day in wanted if (f"{KIND}/{category}", day) not in closed))


@dataclass(frozen=True, slots=True)
class _Steps:
    """Asking for one slice after the other."""

    client: Client
    upstreams: Upstreams
    archive: Archive
    category: str
    night: str
    landed: Mapping[str, str]
    """Names in the archive by what they are about."""

    def fetch(self, part: Slice, pages: list[Parsed]) -> None:
        """Add all that was submitted in `part` to `pages`; raises SourceError where some is not."""
        total, page = self._landed(part) or self._ask(part)
        if _is_whole(total, page):
            pages.append(page)
        elif part.last - part.first > SHORTEST:
            for half in part.halves():
                self.fetch(half, pages)
        else:
            came = count_entries([page])
            raise SourceChanged(f"{came} of {total} papers of {part} came, and no more")

    def _ask(self, part: Slice) -> Answer:
        """arXiv's answer: the first that is whole, or too long for one page; else the last one."""
        for left in reversed(range(ASKS)):
            response = arxiv_api.fetch_window(self.client, self.upstreams, self.category, part)
            about = f"{self.category} {part}"
            land(self.archive, KIND, self.night, response, about)
            try:
                answer = _read(response.body, response.received_at)
            except SourceChanged:
                if not left:
                    raise
                continue
            if _is_final(answer):
                break
        return answer

    def _landed(self, part: Slice) -> Answer | None:
        """What an earlier run of this night landed for `part`, where it need not be asked again."""
        name = self.landed.get(f"{self.category} {part}")
        try:
            raw = self.archive.read(name) if name else None
            answer = _read(raw.body, raw.received_at) if raw else None
        except SourceChanged:
            return None
        return answer if answer and _is_final(answer) else None


def _read(body: bytes, received_at: str) -> Answer:
    return arxiv_api.total(body), arxiv_api.parse(body, received_at)


def _is_whole(total: int, page: Parsed) -> bool:
    return total <= count_entries([page])


def _is_final(answer: Answer) -> bool:
    """Whether to ask again is of no use; an index that is away looks like one without papers."""
    total, page = answer
    return total > arxiv_api.PAGE or (total > 0 and _is_whole(total, page))


def _all_landed(archive: Archive, night: str) -> dict[str, str]:
    """The newest name of what was landed about each slice."""
    readable = {}
    for name in archive.names(KIND, night):
        with suppress(SourceChanged):  # a damaged file is for the record to report
            readable[archive.read(name).about] = name
    return readable


def _weeks(first: str, last: str) -> Iterator[list[str]]:
    days = days_between(first, last)
    for start in range(0, len(days), SLICE_DAYS):
        yield days[start : start + SLICE_DAYS]


def _runs(days: list[str]) -> list[tuple[str, str]]:
    """Sorted days as runs without a gap, first and last day of each."""
    runs: list[tuple[str, str]] = []
    for day in days:
        joined = runs and shifted(runs[-1][1], 1) == day
        start = runs.pop()[0] if joined else day
        runs.append((start, day))
    return runs


def _days_of_submission(pages: list[Parsed]) -> dict[str, str]:
    """The day of each paper's first version."""
    seen = (o for page in pages for o in page.observations)
    return {o.arxiv_id: (o.published or "")[:10] for o in seen}
