"""arXiv's daily feeds: RSS 2.0 and Atom of rss.arxiv.org, and the RDF (RSS 1.0) of before 2024.

A feed holds one day only, at most 2,000 papers of it, no comments, no submission dates, and leaves
out versions above 5: a first hint of what was announced, never the whole of it.
"""

from __future__ import annotations

import html
import io
import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import feedparser
from lxml import etree  # type: ignore[import-untyped]  # ships no types

from ingest import ids
from ingest.arxiv_text import authors, letters
from ingest.calendar import night_of
from ingest.errors import SourceChanged
from ingest.http import Client, Response
from ingest.paper import Observation, Parsed, Rejected
from ingest.text import one_line
from ingest.upstreams import Upstreams

SOURCE = "arxiv_feed"

_ROOTS = (
    "rss",
    "{http://www.w3.org/2005/Atom}feed",
    "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF",
)
# What feedparser has been seen to raise on well-formed documents that it did not expect.
_CONFUSED = (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_DESCRIPTION = re.compile(
    r"arXiv:(?P<id>\S+)(?: Announce Type: ?(?P<type>\S+))?(?: Abstract: ?(?P<abstract>.*))?"
)
# RDF has it all in the title: "Of hands. (arXiv:1805.08875v1 [hep-ex] CROSS LISTED)".
_RDF_TITLE = re.compile(
    r"(?P<title>.*?)\.? ?\((?P<id>arXiv:[^\s()]+)(?: \[(?P<primary>[^\]\s]+)\])?"
    r" ?(?P<mark>[^()]*)\)"
)
_RDF_TYPES = {"": "new", "CROSS LISTED": "cross", "UPDATED": "replace"}
_MARKUP = re.compile(r"<[^<>]*>")


class _Item(NamedTuple):
    """What one item says of itself, before anything is judged."""

    told: tuple[str, ...]
    """The ids it names: with a version first, if there is any."""
    title: str
    abstract: str
    type: str
    categories: tuple[str, ...]
    creators: tuple[str, ...]


def fetch(client: Client, upstreams: Upstreams, categories: Sequence[str]) -> Response:
    """Today's RSS of these categories together; a refusal comes with 400 and its reason."""
    return client.get(f"{upstreams.arxiv_rss}/rss/{'+'.join(categories)}", ok=(200, 400))


def parse(body: bytes, seen_at: str) -> Parsed:
    """Every item of one feed; raises SourceChanged where it is none, half of one, or an error."""
    feed = _feed(body)
    read = [_observe(entry, feed.version, seen_at) for entry in feed.entries]
    return Parsed(
        tuple(one for one in read if isinstance(one, Observation)),
        tuple(one for one in read if isinstance(one, Rejected)),
    )


def batch_day(body: bytes) -> str | None:
    """The listing day whose batch this is, from the items' own date; None where nothing says it.

    Raises SourceChanged as `parse` does.
    """
    feed = _feed(body)
    for level in (*feed.entries, feed.feed):
        for name in ("published", "updated"):
            if moment := _moment(level.get(f"{name}_parsed")):
                return night_of(moment)
    return None


def announce_types(body: bytes) -> dict[str, str]:
    """Base id to `new`, `cross`, `replace` or `replace-cross`; raises SourceChanged as `parse`."""
    feed = _feed(body)
    items = (_item(entry, feed.version) for entry in feed.entries)
    return {found[0].base: item.type for item in items if (found := _ids(item.told)) and item.type}


def _feed(body: bytes) -> Any:  # noqa: ANN401  # feedparser ships no types
    """The feed as the package reads it: not HTML to be sanitised, "a<b" is no markup here."""
    # As a stream: a text that is an address or the name of a file would be opened.
    clean = io.BytesIO(_well_formed(body))
    try:
        feed = feedparser.parse(clean, sanitize_html=False, resolve_relative_uris=False)
    except _CONFUSED as error:
        raise SourceChanged(f"feedparser cannot read this feed: {error!r}"[:200]) from None
    title = _text(feed.feed, "title")
    if title.startswith("Feed error"):
        reason = _text(feed.feed, "subtitle") or title
        raise SourceChanged(f"arXiv's feed says: {reason[:200]}")
    return feed


def _well_formed(body: bytes) -> bytes:
    """The same document as UTF-8: the package makes the best of half a one, or fails on it."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        page = b"<html" in body[:1000].lower()
        came = "a page of HTML" if page else f"{len(body)} bytes of no XML, or half of one,"
        raise SourceChanged(f"a feed is due, {came} came") from None
    if root.tag not in _ROOTS or root.getroottree().docinfo.internalDTD is not None:
        raise SourceChanged(f"a feed is due, <{etree.QName(root).localname}> came")
    whole: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return whole


def _observe(entry: Any, version: str, seen_at: str) -> Observation | Rejected:  # noqa: ANN401  # feedparser ships no types
    item = _item(entry, version)
    found = _ids(item.told)
    if not found:
        return Rejected(f"not an arXiv id: {', '.join(item.told)[:80]}", _payload(entry))
    if len({told.base for told in found}) > 1:
        both = " and ".join(sorted({told.base for told in found}))
        return Rejected(f"one item, two papers: {both}", _payload(entry))
    if not item.title:
        return Rejected("no title", _payload(entry), found[0].base)
    return Observation(
        source=SOURCE,
        arxiv_id=found[0].base,
        seen_at=seen_at,
        version=max((told.version for told in found if told.version), default=None),
        title=letters(item.title),
        abstract=letters(item.abstract) or None,
        authors=tuple(name for line in item.creators for name in authors(line)),
        categories=item.categories,
        journal_ref=_text(entry, "arxiv_journal_reference") or None,
        doi=_text(entry, "arxiv_doi") or None,
        license=_text(entry, "rights") or None,
    )


def _item(entry: Any, version: str) -> _Item:  # noqa: ANN401  # feedparser ships no types
    title, summary = _text(entry, "title"), _text(entry, "summary")
    names = tuple(_text(author, "name") for author in entry.get("authors", ()))
    terms = (_text(tag, "term") for tag in entry.get("tags", ()))
    addresses = (_text(entry, "id"), _text(entry, "link"))
    if version in ("rss10", "rss090"):
        return _rdf_item(title, summary, addresses, names)
    said = _DESCRIPTION.fullmatch(summary)
    return _Item(
        told=tuple(filter(None, (said["id"] if said else "", *addresses))),
        title=title,
        abstract=(said["abstract"] or "") if said else summary,
        type=_text(entry, "arxiv_announce_type") or (said and said["type"]) or "",
        categories=tuple(dict.fromkeys(filter(None, terms))),
        creators=names,
    )


def _rdf_item(title: str, summary: str, addresses: Iterable[str], names: Iterable[str]) -> _Item:
    """Titles carry id and category; abstract and names are HTML."""
    said = _RDF_TITLE.fullmatch(title)
    return _Item(
        told=tuple(filter(None, (said["id"] if said else "", *addresses))),
        title=said["title"] if said else title,
        abstract=_without_markup(summary),
        type=_RDF_TYPES.get(said["mark"].strip(), "") if said else "",
        categories=(said["primary"],) if said and said["primary"] else (),
        creators=tuple(map(_without_markup, names)),
    )


def _text(level: Any, name: str) -> str:  # noqa: ANN401  # feedparser ships no types
    """One line; of an element with attributes that it does not know feedparser makes no text."""
    value = level.get(name)
    return one_line(value) if isinstance(value, str) else ""


def _ids(told: Iterable[str]) -> list[ids.ArxivId]:
    return [found for text in told if (found := ids.find(text))]


def _without_markup(text: str) -> str:
    """The text of a small piece of HTML, whose own `<` are escaped."""
    return one_line(html.unescape(_MARKUP.sub("", text)))


def _moment(parsed: Any) -> datetime | None:  # noqa: ANN401  # a time.struct_time or None
    """feedparser's date, which it gives in UTC."""
    try:
        moment = datetime.fromtimestamp(timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError):  # no date of any calendar
        return None
    return moment if moment and 1991 <= moment.year < 2200 else None


def _payload(entry: Any) -> str:  # noqa: ANN401  # feedparser ships no types
    return "\n".join(_lines(entry)).encode(errors="replace").decode()


def _lines(entry: Any) -> Iterator[str]:  # noqa: ANN401  # feedparser ships no types
    return (f"{name}: {value}" for name, value in entry.items() if not name.endswith("_parsed"))
