"""Hugging Face beyond the day: its weeks, months and trending papers, and one paper by itself.

These lists hold the entries of `ingest.sources.huggingface`. None of them is a day's list: a paper
was listed on the day that its own entry names, or on none that is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from typing import NamedTuple

from ingest import ids
from ingest.errors import BadInput, SourceChanged
from ingest.http import Client, Response
from ingest.paper import Parsed
from ingest.sources import huggingface
from ingest.upstreams import Upstreams

TRENDING = "trending"
TRENDING_PAGES = 1
"""Of a list that goes on over every paper there is."""


class Period(NamedTuple):
    """What a list is of: a week, a month, or what is trending now, which has no days."""

    kind: str
    """`week`, `month` or `trending`, as the API and the site name it."""
    name: str
    first: str = ""
    last: str = ""

    @property
    def path(self) -> str:
        """Of its page on the site."""
        return self.kind if self.kind == TRENDING else f"{self.kind}/{self.name}"

    @property
    def query(self) -> dict[str, str]:
        """Of its list in the API."""
        return {"sort": TRENDING} if self.kind == TRENDING else {self.kind: self.name}

    def day_of(self, entry: object) -> str | None:
        """The day that an entry says it was listed on, where that can be true."""
        day = huggingface.own_day(entry)
        return day if day and self.first <= day <= self.last else None


def period(name: str) -> Period:
    """`2025-W10`, `2025-03` or `trending` as a period; raises BadInput."""
    if name == TRENDING:
        return Period(TRENDING, name)
    week = re.fullmatch(r"(\d{4})-W(\d\d)", name)
    month = re.fullmatch(r"(\d{4})-(\d\d)", name)
    try:
        if week:
            first = date.fromisocalendar(int(week[1]), int(week[2]), 1)
            return Period("week", name, str(first), str(first + timedelta(days=6)))
        if month:
            first = date(int(month[1]), int(month[2]), 1)
            following = (first + timedelta(days=31)).replace(day=1)
            return Period("month", name, str(first), str(following - timedelta(days=1)))
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"{name!r} is no week or month: give 2025-W10, 2025-03 or {TRENDING}")


def fetch(client: Client, upstreams: Upstreams, wanted: Period) -> Iterator[Response]:
    """Every page of a period's list, of the trending papers the first TRENDING_PAGES."""
    pages = huggingface.fetch_list(client, upstreams, wanted.query)
    return islice(pages, TRENDING_PAGES) if wanted.kind == TRENDING else pages


def fetch_page(client: Client, upstreams: Upstreams, wanted: Period) -> Response:
    """The period's page as people see it; see `parse_page`."""
    return huggingface.fetch_page(client, upstreams, wanted.path)


def fetch_paper(client: Client, upstreams: Upstreams, arxiv_id: str) -> Response:
    """What Hugging Face says of one paper; status 404 where it does not know it."""
    base = ids.parse(arxiv_id).base
    return client.get(f"{upstreams.huggingface}/api/papers/{base}", ok=(200, 404))


def parse(body: bytes, wanted: Period, seen_at: str) -> Parsed:
    """Every entry of one API response; raises SourceChanged where it is not a list of entries."""
    return huggingface.observe_all(huggingface.read_list(body), wanted.day_of, seen_at)


def parse_page(body: bytes, wanted: Period, seen_at: str) -> Parsed:
    """Every entry of one page; raises SourceChanged where it is not the page of that period.

    The site redirects where it has nothing to show, to a day or to another week.
    """
    props = huggingface.read_props(body)
    _, entries = huggingface.page_entries(props)
    came = f"{props.get('periodType', '')} {props.get('dateString') or ''}".strip()
    due = f"{wanted.kind} {wanted.name}"
    if came != due and wanted.kind != TRENDING:
        raise SourceChanged(f"the page of {due} is due, that of {came[:80] or 'nothing'} came")
    return huggingface.observe_all(entries, wanted.day_of, seen_at)


def parse_paper(body: bytes, seen_at: str) -> Parsed:
    """One paper, with the day it was listed on if it names one; raises SourceChanged."""
    entry = huggingface.read_json(body, "a paper")
    return huggingface.observe_all([entry], huggingface.own_day, seen_at)
