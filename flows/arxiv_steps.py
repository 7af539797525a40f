"""The arXiv part of a night, for the categories that PAPERFEED_CATEGORIES names.

The feed is a first hint, announcements come from the catch-up pages, versions and withdrawals from
OAI-PMH. One service after the other is asked; what one does not answer is open, and asked for on
the next night. Only a wish to be left alone ends arXiv's part of the night.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from flows.home import open_home
from flows.progress import progress, say
from flows.steps import collector
from ingest import announcements, harvest, ledger, window
from ingest.errors import BadInput, RateLimited, SourceError, SourceUnavailable
from ingest.ledger import shifted

_CATEGORY = re.compile(r"[a-z][a-z-]*(\.[A-Za-z-]+)?")
_GROUPS = frozenset({"cs", "econ", "eess", "math", "q-bio", "q-fin", "stat"})
"""Archives that are OAI groups of their own; every other one belongs to `physics`."""


def categories() -> list[str]:
    """The categories to follow; none unless the environment names some. Raises BadInput."""
    named = [name.strip() for name in os.environ.get("PAPERFEED_CATEGORIES", "").split(",")]
    for name in filter(None, named):
        if not _CATEGORY.fullmatch(name):
            raise BadInput(
                f"PAPERFEED_CATEGORIES names {name!r}: give categories such as cs.CL,cs.LG"
            )
    return sorted(set(filter(None, named)))


def follow(home: Path, night: str, first: str, today: str) -> str | None:
    """Land what the followed categories announced since `first`, and what changed in them.

    A past night has announcements only. One service that fails leaves the others to be asked;
    gives why, if arXiv wants to be left alone.
    """
    live = night >= today
    if live:
        _each(fetch_hint, home, night)
    stopped = _each(fetch_announcements, home, night, first, today)
    if live and not isinstance(stopped, RateLimited):
        stopped = _each(harvest_changes, home, night, first)
    return str(stopped) if isinstance(stopped, RateLimited) else None


def _each(service: Callable[..., None], home: Path, *days: str) -> SourceUnavailable | None:
    """Ask for one category after the other; gives why the service is away, if it is."""
    for category in categories():
        try:
            service(home, category, *days)
        except SourceError as error:
            say(f"{category} is left for the next run: {error}")
            if isinstance(error, SourceUnavailable):
                return error
    return None


def fetch_hint(home: Path, category: str, night: str) -> None:
    """The category's feed, which tells early what is new today; raises SourceError."""
    client, upstreams, archive = collector(home)
    items = announcements.fetch_feed_hint(client, upstreams, archive, category, night)
    say(f"{category} in today's feed: {items}")


def fetch_announcements(home: Path, category: str, night: str, first: str, today: str) -> None:
    """Every announcement that is open on `night`, oldest first; raises SourceUnavailable.

    What arXiv's listings do not reach on `today` any more comes from its API, by submission.
    """
    known = _known(home)
    ours = [p for p in known if p.source == f"{announcements.CATCHUP}/{category}"]
    since, kept = min([first, *(p.day for p in ours)]), announcements.oldest_kept(today)
    older = window.open_windows(known, category, since, min(night, shifted(kept, -1)))
    days = announcements.open_announcements(ours, category, night, max(since, kept))
    with progress(f"{category} announced", len(older) + len(days)) as advance:
        for span in older:
            _left_open(window.fetch_window, home, category, *span, night)
            advance(1)
        for day in days:
            _left_open(announcements.fetch_announcement, home, category, day, night)
            advance(1)


def _left_open(fetch: Callable[..., int], home: Path, category: str, *days: str) -> None:
    """Fetch; what arXiv refuses, or answers oddly, is open in the ledger and stops nothing."""
    client, upstreams, archive = collector(home)
    try:
        fetch(client, upstreams, archive, category, *days)
    except SourceUnavailable:
        raise
    except SourceError as error:
        say(f"{category} {days[0]} stays open: {error}")


def harvest_changes(home: Path, category: str, night: str, first: str) -> None:
    """Every record of the category's OAI set changed since the last harvest; raises SourceError."""
    set_spec = oai_set(category)
    since = harvest.next_since(_known(home), set_spec) or first
    client, upstreams, archive = collector(home)
    since = min(since, night)
    received = harvest.harvest(client, upstreams, archive, set_spec, since, night=night)
    say(f"{category} changed: {received}")


def oai_set(category: str) -> str:
    """A category as OAI-PMH names it: `cs:cs:LG`, `physics:hep-th`, `physics:astro-ph:CO`."""
    archive, _, subject = category.partition(".")
    group = archive if archive in _GROUPS else "physics"
    return ":".join(filter(None, (group, archive, subject)))


def _known(home: Path) -> list[ledger.Partition]:
    with open_home(home) as engine, engine.connect() as db:
        return ledger.partitions(db)
