"""Hugging Face beyond the day to the archive: weeks, months, trending papers, single papers."""

from __future__ import annotations

import json

from ingest.collect import close, count_entries, land, readable
from ingest.errors import SourceError
from ingest.http import Client
from ingest.paper import Parsed
from ingest.raw import Archive, Raw
from ingest.sources import huggingface_lists
from ingest.sources.huggingface_lists import Period
from ingest.upstreams import Upstreams

LIST, PAGE, PAPER = "huggingface_list", "huggingface_list_page", "huggingface_paper"
KINDS = (LIST, PAGE, PAPER)
"""Of landed responses: the API's, the site's page where the API failed, of one paper."""


def fetch_list(
    client: Client, upstreams: Upstreams, archive: Archive, name: str, night: str
) -> int:
    """Land the list of `2025-W10`, `2025-03` or `trending`, and how it ended; gives its entries.

    Falls back to the site's page where the API fails. Raises the API's SourceError when both do,
    BadInput for a name that is none of these.
    """
    wanted = huggingface_lists.period(name)
    source, day = f"{LIST}/{wanted.kind}", min(wanted.last or night, night)
    pages: list[Parsed] = []
    try:
        _fetch_api(client, upstreams, archive, wanted, night, pages)
    except SourceError as failure:
        try:
            pages = [_fetch_page(client, upstreams, archive, wanted, night)]
        except SourceError:
            close(archive, source, day, count_entries(pages), str(failure), night=night)
            raise failure from None
    close(archive, source, day, count_entries(pages), night=night)
    return count_entries(pages)


def fetch_papers(
    client: Client, upstreams: Upstreams, archive: Archive, ids: list[str], night: str
) -> int:
    """Land what Hugging Face says of each paper; gives how many of them it knows.

    Raises SourceError at the first that it does not answer for.
    """
    known = 0
    for arxiv_id in ids:
        response = huggingface_lists.fetch_paper(client, upstreams, arxiv_id)
        about = json.dumps({"id": arxiv_id, "status": response.status})
        land(archive, PAPER, night, response, about)
        known += response.status == 200
    return known


def read(raw: Raw) -> Parsed:
    """What a landed response of these kinds says; raises SourceChanged."""
    if raw.kind == PAPER:
        unknown = json.loads(raw.about)["status"] == 404
        return Parsed(()) if unknown else huggingface_lists.parse_paper(raw.body, raw.received_at)
    wanted = huggingface_lists.period(raw.about)
    parse = huggingface_lists.parse if raw.kind == LIST else huggingface_lists.parse_page
    return parse(raw.body, wanted, raw.received_at)


def _fetch_api(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    wanted: Period,
    night: str,
    pages: list[Parsed],
) -> None:
    for page in huggingface_lists.fetch(client, upstreams, wanted):
        land(archive, LIST, night, page, wanted.name)
        parsed = huggingface_lists.parse(page.body, wanted, page.received_at)
        pages.append(readable(parsed, page.url))


def _fetch_page(
    client: Client, upstreams: Upstreams, archive: Archive, wanted: Period, night: str
) -> Parsed:
    page = huggingface_lists.fetch_page(client, upstreams, wanted)
    land(archive, PAGE, night, page, wanted.name)
    parsed = huggingface_lists.parse_page(page.body, wanted, page.received_at)
    return readable(parsed, page.url)
