"""Hugging Face Daily Papers: the API by day and, where it fails, the listing page's own data.

What one entry looks like, and which of its two levels to believe: the inner `paper` first. The
outer `publishedAt` is US Eastern time printed as UTC and is never read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from bs4 import BeautifulSoup
from bs4.exceptions import ParserRejectedMarkup
from bs4.filter import SoupStrainer

from ingest import ids
from ingest.errors import SourceChanged
from ingest.http import Client, Response
from ingest.paper import Observation, Parsed, Rejected
from ingest.text import one_line
from ingest.upstreams import Upstreams

SOURCE = "huggingface"
PAGE_SIZE = 100
"""The most entries that the API gives at once."""
DEFAULT_SIZE = 50
"""What it gives where it does not heed `limit`."""
MAX_PAGES = 50

_NEXT = re.compile(r"""<([^>]*)>[^,]*;\s*rel\s*=\s*"?next\b""", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def fetch_day(client: Client, upstreams: Upstreams, day: str) -> Iterator[Response]:
    """Every page of one day's list; raises SourceChanged where the pages never end."""
    return fetch_list(client, upstreams, {"date": day})


def fetch_list(
    client: Client, upstreams: Upstreams, query: Mapping[str, str]
) -> Iterator[Response]:
    """Every page of the list that the API gives for `query`; raises SourceChanged without an end.

    A page is given as it came, before anything looks into it. One that only repeats what came
    before is the sign of a server that ignores `p`: it ends the list.
    """
    url, params = f"{upstreams.huggingface}/api/daily_papers", {**query, "limit": str(PAGE_SIZE)}
    response = client.get(url, params)
    seen: set[str] = set()
    for page in range(1, MAX_PAGES + 1):
        yield response
        entries = _glance(response.body)
        on_it = {_id_of(entry) for entry in entries} - {""}
        more = _NEXT.search(response.headers.get("link", ""))
        if on_it <= seen or not (more or _looks_capped(len(entries))):
            return
        seen |= on_it
        if page < MAX_PAGES:
            response = client.get(*_next_page(response.url, more, url, {**params, "p": str(page)}))
    what = " ".join(query.values())
    raise SourceChanged(f"{what} has no end: {MAX_PAGES} pages and more to come", url)


def _looks_capped(count: int) -> bool:
    """Whether a page without `Link` may have been cut: caps are round, days hardly ever."""
    return count >= DEFAULT_SIZE or count % 5 == 0


def fetch_listing(client: Client, upstreams: Upstreams, day: str) -> Response:
    """The day's page as people see it; its data is embedded, see `parse_listing`."""
    return fetch_page(client, upstreams, f"date/{day}")


def fetch_page(client: Client, upstreams: Upstreams, path: str) -> Response:
    """A listing page as people see it: `date/2025-03-03`, `week/2025-W10`, `trending`."""
    return client.get(f"{upstreams.huggingface}/papers/{path}")


def parse_api(body: bytes, day: str, seen_at: str) -> Parsed:
    """Every entry of one API response; raises SourceChanged where it is not a list of entries."""
    return observe_all(read_list(body), lambda _: day, seen_at)


def read_list(body: bytes) -> list[Any]:
    """The entries of one API response as they stand; raises SourceChanged where it has none."""
    entries = read_json(body, "the list of papers")
    if isinstance(entries, list):
        return entries
    if isinstance(entries, dict) and "error" in entries:
        raise SourceChanged(f"the API says: {_short(entries['error'])}")
    raise SourceChanged(f"a list of papers is due, {_kind(entries)} came")


def parse_listing(body: bytes, day: str | None, seen_at: str) -> Parsed:
    """Every entry of one listing page; raises SourceChanged where it is not the page of `day`.

    `day` None takes any listing, search results included. An invalid date, or one without papers,
    is redirected by the site to another day's page.
    """
    props = read_props(body)
    listed_on, entries = page_entries(props)
    if day is not None and listed_on != day:
        raise SourceChanged(f"the page of {day} is due, that of {listed_on or 'no one day'} came")
    return observe_all(entries, lambda _: listed_on, seen_at)


def read_props(body: bytes) -> dict[str, Any]:
    """The data that a Daily Papers page carries for its own script; raises SourceChanged."""
    only = SoupStrainer(attrs={"data-target": "DailyPapers"})
    try:
        # Without the words there is nothing to find, whatever the bytes are.
        page = BeautifulSoup(body if b"DailyPapers" in body else b"", "lxml", parse_only=only)
    except (ParserRejectedMarkup, RecursionError):
        raise SourceChanged("this is not a page that can be read") from None
    tag = page.find(None, {"data-target": "DailyPapers"})
    if tag is None:
        raise SourceChanged("no Daily Papers on this page: another page, or the site has changed")
    props = read_json(str(tag.get("data-props", "")).encode("utf-8", "replace"), "the page's data")
    if not isinstance(props, dict):
        raise SourceChanged(f"the page's data is {_kind(props)}, not an object")
    return props


def page_entries(props: Mapping[str, Any]) -> tuple[str | None, list[Any]]:
    """The day that a page lists (None: a search, a week, a month) and its entries as they stand."""
    results, papers = props.get("searchResults"), props.get("dailyPapers")
    if isinstance(results, list) and (results or not isinstance(papers, list)):
        return None, results
    if not isinstance(papers, list):
        raise SourceChanged("the page's data holds neither dailyPapers nor searchResults")
    if props.get("periodType", "day") != "day":
        return None, papers
    day = _DAY.match(str(props.get("dateString") or props.get("date")))
    return (day[0] if day else None), papers


def observe_all(
    entries: list[Any], listed_on: Callable[[object], str | None], seen_at: str
) -> Parsed:
    """Every entry, read; `listed_on` tells on which day an entry was listed."""
    read = [observe(entry, listed_on(entry), seen_at) for entry in entries]
    return Parsed(
        tuple(one for one in read if isinstance(one, Observation)),
        tuple(one for one in read if isinstance(one, Rejected)),
    )


def own_day(entry: object) -> str | None:
    """The day that the entry itself says it was listed on: of 4,147 read, each said the truth."""
    paper = entry.get("paper", entry) if isinstance(entry, dict) else None
    told = paper.get("submittedOnDailyAt") if isinstance(paper, dict) else None
    moment = _moment(told)
    return moment[:10] if moment else None


def observe(entry: object, listed_on: str | None, seen_at: str) -> Observation | Rejected:
    """One entry, read: wrong types in what is optional are left out, the rest is kept."""
    if not isinstance(entry, dict):
        return Rejected(f"the entry is {_kind(entry)}, not an object", _payload(entry))
    paper = entry.get("paper", entry)
    if not isinstance(paper, dict):
        return Rejected(f"`paper` is {_kind(paper)}, not an object", _payload(entry))
    arxiv_id = ids.find(_id_of(entry))
    if arxiv_id is None:
        return Rejected(f"not an arXiv id: {_short(paper.get('id'))}", _payload(entry))
    title = _text(paper.get("title")) or _text(entry.get("title"))
    if title is None:
        return Rejected("no title", _payload(entry), arxiv_id.base)
    return Observation(
        source=SOURCE,
        arxiv_id=arxiv_id.base,
        seen_at=seen_at,
        listed_on=listed_on,
        title=title,
        abstract=_text(paper.get("summary")) or _text(entry.get("summary")),
        authors=_names(paper.get("authors")),
        published=_moment(paper.get("publishedAt")),
        withdrawn=True if paper.get("withdrawnAt") else None,
        github=_as_it_stands(paper.get("githubRepo")),
        github_by=_text(paper.get("githubRepoAddedBy")),
        project_page=_text(paper.get("projectPage")),
        upvotes=count(paper.get("upvotes")),
        keywords=_names(paper.get("ai_keywords")),
        organization=_organization(paper) or _organization(entry),
    )


def count(value: object) -> int | None:
    """A number of things, or None; what no database column holds is no such number."""
    # A bool is an int to Python, but no count.
    return value if type(value) is int and 0 <= value < 2**63 else None


def _glance(body: bytes) -> list[Any]:
    """The page's entries for counting only: `parse_api` says what is wrong with an odd page."""
    try:
        entries = read_json(body, "a page")
    except SourceChanged:
        return []
    return entries if isinstance(entries, list) else []


def _id_of(entry: object) -> str:
    paper = entry.get("paper", entry) if isinstance(entry, dict) else None
    told = paper.get("id") if isinstance(paper, dict) else None
    return told if isinstance(told, str) else ""


def _next_page(
    here: str, link: re.Match[str] | None, url: str, params: dict[str, str]
) -> tuple[str, dict[str, str] | None]:
    """What to ask next: the page that the Link header names, else simply the next number.

    Only the number is taken from the link, and a whole address only on the same host: behind a
    proxy the service may name itself by an address that is not ours to ask.
    """
    address = urljoin(here, link[1]) if link else ""
    number = parse_qs(urlsplit(address).query).get("p", [""])[0]
    if number.isdecimal():
        return url, {**params, "p": number}
    if address and urlsplit(address).netloc == urlsplit(here).netloc:
        return address, None
    return url, params


def read_json(body: bytes, what: str) -> Any:  # noqa: ANN401  # JSON may hold anything
    """The value in a body that is called `what`; raises SourceChanged where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    if not body.strip():
        raise SourceChanged(f"{what}: JSON is due, nothing came")
    if body.lstrip().startswith(b"<"):
        raise SourceChanged(f"{what}: JSON is due, a page of HTML came")
    raise SourceChanged(f"{what}: {len(body)} bytes that are not JSON, or only half of it")


def _kind(value: object) -> str:
    """What a value is, in words for a message."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(map(_short, value))[:5]) or 'nothing in it'}"
    if isinstance(value, list):
        return "a list"
    return f"a text: {_short(value)}" if isinstance(value, str) else _short(value)


def _short(value: object) -> str:
    return one_line(value if isinstance(value, str) else _payload(value))[:80]


def _payload(entry: object) -> str:
    try:
        # ASCII, since half a character in the entry could not be stored as UTF-8.
        return json.dumps(entry)
    except RecursionError:
        return "(nested too deeply to show)"


def _text(value: object) -> str | None:
    return (one_line(value) or None) if isinstance(value, str) else None


def _as_it_stands(value: object) -> str | None:
    """A text with its line breaks (people paste addresses that have some), only storable."""
    return (
        (value.encode(errors="ignore").decode().strip() or None) if isinstance(value, str) else None
    )


def _names(value: object) -> tuple[str, ...]:
    """The names in a list of texts or of objects with a `name`, hidden ones too."""
    said = value if isinstance(value, list) else []
    names = (_text(one.get("name") if isinstance(one, dict) else one) for one in said)
    return tuple(name for name in names if name)


def _organization(level: Mapping[str, Any]) -> str | None:
    said = level.get("organization")
    if not isinstance(said, dict):
        return _text(said)
    return _text(said.get("fullname")) or _text(said.get("name"))


def _moment(value: object) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return None
        utc = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
