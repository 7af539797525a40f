"""The arXiv API, through the `arxiv` package: its request and its Atom reader, on our own client.

The package asks with a `requests.Session` of its own, without our pace and our record of raw
responses. `_Door` takes that session's place, for asking and for reading recorded bytes alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import arxiv
from lxml import etree  # type: ignore[import-untyped]  # ships no types

from ingest import ids
from ingest.errors import BadInput, SourceChanged
from ingest.http import Client, Response
from ingest.paper import Observation, Parsed, Rejected
from ingest.text import one_line
from ingest.upstreams import Upstreams
from ingest.withdrawn import says_withdrawn

SOURCE = "arxiv_api"
BATCH = 100
"""Ids in one request."""
TITLE_RESULTS = 10
PAGE = 1000
"""Papers in one request by time; arXiv's manual allows 2,000, and long answers fail more often."""
SILENCE_SECONDS = 100.0
"""How long arXiv may take to put such a page together."""

_ATOM = "{http://www.w3.org/2005/Atom}"
_TOTAL = "{http://a9.com/-/spec/opensearch/1.1/}totalResults"


class Slice(NamedTuple):
    """A time of submission, GMT, to the minute; whether its last minute belongs to it is open.

    So the next slice begins with the minute that this one ends with, and nothing can be lost.
    """

    first: datetime
    last: datetime

    @classmethod
    def of_days(cls, first: str, last: str) -> Slice:
        """The whole of these days and of those between them."""
        end = datetime.fromisoformat(last) + timedelta(days=1)
        return cls(datetime.fromisoformat(first), end)

    def halves(self) -> tuple[Slice, Slice]:
        """Two slices that come to this one."""
        middle = self.first + (self.last - self.first) / 2
        middle = middle.replace(second=0, microsecond=0)
        return Slice(self.first, middle), Slice(middle, self.last)

    def __str__(self) -> str:
        return f"[{self.first:%Y%m%d%H%M} TO {self.last:%Y%m%d%H%M}]"


class _Answer(NamedTuple):
    """What the package wants to know of an HTTP response."""

    content: bytes
    status_code: int = 200


class _Door:
    """Stands where the package keeps its `requests.Session`."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer

    def get(self, url: str, headers: object) -> _Answer:  # noqa: ARG002  # the package passes it
        return _Answer(self._answer(url))


def fetch_ids(client: Client, upstreams: Upstreams, arxiv_ids: Sequence[str]) -> Response:
    """The newest versions of up to BATCH papers, in any order; raises BadInput on a wrong id.

    One malformed id would make the API refuse the whole batch, so every one is checked here.
    """
    if not 0 < len(arxiv_ids) <= BATCH:
        raise BadInput(f"{len(arxiv_ids)} ids at once: give 1 to {BATCH}")
    bases = [ids.parse(arxiv_id).base for arxiv_id in arxiv_ids]
    return _ask(client, upstreams, arxiv.Search(id_list=bases, max_results=BATCH))


def fetch_title(client: Client, upstreams: Upstreams, title: str) -> Response:
    """Up to TITLE_RESULTS papers whose titles hold these words in this order."""
    # In lower case no word is an operator; a quote would end the phrase.
    words = " ".join(re.findall(r"[\w'’-]*\w", one_line(title).lower()))
    if not words:
        raise BadInput(f"no words to search for in the title {title!r}")
    return _ask(client, upstreams, arxiv.Search(f'ti:"{words}"', max_results=TITLE_RESULTS))


def fetch_window(client: Client, upstreams: Upstreams, category: str, submitted: Slice) -> Response:
    """The first PAGE papers of a category submitted in a slice, oldest first; see `total`."""
    search = arxiv.Search(
        f"cat:{category} AND submittedDate:{submitted}",
        max_results=PAGE,
        sort_by=arxiv.SortCriterion.SubmittedDate,
        sort_order=arxiv.SortOrder.Ascending,
    )
    return _ask(client, upstreams, search, silence_seconds=SILENCE_SECONDS)


def total(body: bytes) -> int:
    """How many papers the search has found, on all its pages; raises SourceChanged."""
    told = (_feed(body).findtext(_TOTAL) or "").strip()
    if not (told.isascii() and told.isdigit() and len(told) < 10):
        raise SourceChanged(f"arXiv does not say how many papers there are: {told[:80]!r}")
    return int(told)


def parse(body: bytes, seen_at: str) -> Parsed:
    """Every entry of one feed; raises SourceChanged where it is none, or tells of an error."""
    entries = _feed(body).findall(f"{_ATOM}entry")
    for entry in entries:
        # The API's own errors come as an entry, in older deployments with HTTP 200.
        if "/api/errors" in (entry.findtext(f"{_ATOM}id") or ""):
            said = entry.findtext(f"{_ATOM}summary") or "no reason given"
            raise SourceChanged(f"the arXiv API says: {one_line(said)}")
    read = [_observe(entry, seen_at) for entry in entries]
    return Parsed(
        tuple(one for one in read if isinstance(one, Observation)),
        tuple(one for one in read if isinstance(one, Rejected)),
    )


def _ask(
    client: Client,
    upstreams: Upstreams,
    search: arxiv.Search,
    silence_seconds: float | None = None,
) -> Response:
    """The one page that the package would ask for first; `parse` reads it, later and purely."""
    received: list[Response] = []

    def answer(url: str) -> bytes:
        # A refusal comes with 400 and its reason in the feed: that is an answer, too.
        received.append(client.get(url, ok=(200, 400), silence_seconds=silence_seconds))
        return b"<feed/>"  # an empty page ends the package's part

    reader = _reader(answer, search.max_results or BATCH)
    reader.query_url_format = f"{upstreams.arxiv_api_query}?{{}}"
    next(reader.results(search), None)
    return received[0]


def _reader(answer: Callable[[str], bytes], page_size: int) -> arxiv.Client:
    """The package's client, its pauses and retries off: ours apply."""
    reader = arxiv.Client(page_size=page_size, delay_seconds=0, num_retries=0)
    reader._session = _Door(answer)  # the package has no public seam
    return reader


def _feed(body: bytes) -> etree._Element:
    """The feed, read strictly: the package's own reader makes the best of half a document."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        page = b"<html" in body[:1000].lower()
        came = "a page of HTML" if page else f"{len(body)} bytes of no XML, or half of one,"
        raise SourceChanged(f"an Atom feed is due, {came} came") from None
    if root.tag != f"{_ATOM}feed":
        raise SourceChanged(f"an Atom feed is due, <{etree.QName(root).localname}> came")
    return root


def _observe(entry: etree._Element, seen_at: str) -> Observation | Rejected:
    """One entry through the package alone, so that a bad date harms no neighbour."""
    told = one_line(entry.findtext(f"{_ATOM}id") or "")
    arxiv_id = ids.find(told)
    payload = etree.tostring(entry, encoding="unicode", with_tail=False)
    if arxiv_id is None:
        return Rejected(f"not an arXiv id: {told[:80]}", payload)
    result = _result(entry)
    if result is None:
        return Rejected("published or updated is missing or no date", payload, arxiv_id.base)
    title = one_line(result.title)
    if not title:
        return Rejected("no title", payload, arxiv_id.base)
    return _observation(arxiv_id, title, result, seen_at)


def _result(entry: etree._Element) -> Any:  # noqa: ANN401  # the package ships no types
    """The package's reading of one entry, None where it refuses it."""
    alone = etree.Element(f"{_ATOM}feed")
    alone.append(deepcopy(entry))
    page = etree.tostring(alone)
    try:
        return next(_reader(lambda _url: page, 1).results(arxiv.Search()), None)
    except (ValueError, OverflowError):  # what a wrong date raises
        return None


def _observation(
    arxiv_id: ids.ArxivId,
    title: str,
    result: Any,  # noqa: ANN401  # the package ships no types
    seen_at: str,
) -> Observation:
    abstract, comment = one_line(result.summary), one_line(result.comment or "")
    names = (one_line(author.name) for author in result.authors)
    return Observation(
        source=SOURCE,
        arxiv_id=arxiv_id.base,
        seen_at=seen_at,
        version=arxiv_id.version,
        title=title,
        abstract=abstract or None,
        authors=tuple(name for name in names if name),
        categories=_primary_first(result.primary_category, result.categories),
        published=_moment(result.published),
        updated=_moment(result.updated),
        comment=comment or None,
        journal_ref=one_line(result.journal_ref or "") or None,
        doi=one_line(result.doi or "") or None,
        withdrawn=says_withdrawn(comment, abstract),
    )


def _primary_first(primary: str, terms: Sequence[str]) -> tuple[str, ...]:
    clean = (one_line(term) for term in (primary, *terms))
    return tuple(dict.fromkeys(term for term in clean if term))


def _moment(moment: datetime) -> str:
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="seconds") + "Z"
