"""The arXiv part of a night, for the categories that PAPERFEED_CATEGORIES names.

Announcements come from the catch-up pages, versions and withdrawals from OAI-PMH. arXiv is asked by
one step after the other; the first that it does not answer ends its part of the night, and what is
open is asked for on the next.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from flows.progress import progress, say
from flows.steps import collector, open_home
from ingest import announcements, harvest, ledger
from ingest.errors import BadInput, SourceError

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


def follow(home: Path, category: str, night: str, first: str) -> str | None:
    """Land what `category` announced since `first`, then what changed in it; gives a failure."""
    try:
        fetch_announcements(home, category, night, first)
        harvest_changes(home, category, night, first)
    except SourceError as error:
        say(f"{category} is left for the next run: {error}")
        return str(error)
    return None


def fetch_announcements(home: Path, category: str, night: str, first: str) -> None:
    """Every announcement that is open on `night`, oldest first; raises SourceError."""
    known = [p for p in _known(home) if p.source == f"{announcements.CATCHUP}/{category}"]
    since = min([first, *(p.day for p in known)])
    days = announcements.open_announcements(known, category, night, since)
    client, upstreams, archive = collector(home)
    with progress(f"{category} announced", len(days)) as advance:
        for day in days:
            announcements.fetch_announcement(client, upstreams, archive, category, day, night)
            advance(1)


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
