"""What a person asks for by name: Hugging Face's weeks, months and trending papers, single papers.

Like `flows.steps`: plain functions of a home and names, which hold no lock themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flows.home import open_home
from flows.progress import progress, say
from flows.steps import collector, record
from ingest import collect, ids, listings
from ingest.catalogue import paper
from ingest.errors import SourceError
from ingest.paper import Paper
from ingest.sources import huggingface_lists

_LIST = re.compile(r"trending|\d{4}-W?\d\d")


def told_apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of lists, and the base ids of papers; raises BadInput for what is neither."""
    lists = [name for name in names if _LIST.fullmatch(name)]
    return lists, [ids.parse(name).base for name in names if name not in lists]


def fetch_lists(home: Path, names: Sequence[str], night: str) -> dict[str, str]:
    """Collect the lists of `2025-W10`, `2025-03`, `trending`; gives those that failed, and why.

    Raises BadInput before anything is asked for where a name is none of these.
    """
    for name in names:
        huggingface_lists.period(name)
    client, upstreams, archive = collector(home)
    failed: dict[str, str] = {}
    with progress("Hugging Face lists", len(names)) as advance:
        for name in names:
            try:
                listings.fetch_list(client, upstreams, archive, name, night)
            except SourceError as error:
                failed[name] = str(error)
            advance(1)
    record(home)
    return failed


def add_papers(home: Path, named: Sequence[str], night: str) -> list[Paper]:
    """Collect single papers by id or address, from arXiv and Hugging Face; gives those now known.

    Raises BadInput for what names no paper, SourceError where arXiv does not answer.
    """
    wanted = list(dict.fromkeys(ids.parse(name).base for name in named))
    client, upstreams, archive = collector(home)
    try:
        for batch in collect.in_batches(wanted):
            collect.fetch_ids(client, upstreams, archive, batch, night)
        listings.fetch_papers(client, upstreams, archive, wanted, night)
    except SourceError as error:
        if not error.url.startswith(upstreams.huggingface):
            raise
        say(f"what Hugging Face knows of them is left out: {error}")
    finally:
        record(home)
    with open_home(home) as engine, engine.connect() as db:
        found = (paper(db, arxiv_id) for arxiv_id in wanted)
        return [known for known in found if known]
