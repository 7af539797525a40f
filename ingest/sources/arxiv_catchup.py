"""arXiv's listing pages: `/catchup/{category}/{day}` of 90 days, and `/list/{category}/new`.

They say what was announced on which day, in three sections, each with its count. A page is believed
only where the counts are what stands on it. What they show of a paper is its newest version,
without the version's number. Facts: arxiv-browse (`catchup_page.py`, `list_macros.html`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from lxml import etree  # type: ignore[import-untyped]  # ships no types

from ingest import ids
from ingest.errors import SourceChanged
from ingest.http import Client, Response
from ingest.paper import Observation, Parsed, Rejected
from ingest.text import one_line
from ingest.upstreams import Upstreams
from ingest.withdrawn import says_withdrawn

SOURCE = "arxiv_catchup"
DAYS_KEPT = 90
"""How far back arXiv lets one catch up."""
PAGE_SIZE = 2000
"""The most entries on one page."""

_MOST_AUTHORS = 100
"""Longer author lists are cut about there, without a word."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HEADING = re.compile(
    r"(?:Showing new listings for|Catchup results for .+ on)"
    r" \w+, (?P<day>\d{1,2}) (?P<month>[A-Za-z]{3})[a-z]* (?P<year>\d{4})"
)
# "Cross submissions (continued, showing last 19 of 119 entries)"
_SECTION = re.compile(
    r"(?P<type>New|Cross|Replace)[\w-]*(?: submissions)?[^()]*"
    r"\(\D*?(?P<shown>\d[\d,]*) of (?P<total>\d[\d,]*) entries ?\)"
)
_TYPES = {"New": "new", "Cross": "cross", "Replace": "replace"}
_TOTAL = re.compile(r"Total of\s+(\d[\d,]*)\s+entries")
_NOTHING = re.compile(r"No updates (?:today|for)\b")
_CUT = re.compile(r"\(\d+ (?:additional )?authors? not shown\)")
_SUBJECT = re.compile(r"\(([A-Za-z-]+(?:\.[A-Za-z-]+)?)\)")
_FIELDS = (
    *("list-title", "mathjax", "list-comments"),
    *("list-authors", "list-subjects", "primary-subject", "list-journal-ref", "list-doi"),
)
_HIDDEN_ADDRESS = re.compile(r"this (?:https?|ftp) URL", re.IGNORECASE)


class Page(NamedTuple):
    """A page whose counts are right."""

    parsed: Parsed
    types: dict[str, str]
    """Base id to `new`, `cross` or `replace`, in the page's order."""
    total: int
    """Entries of the whole day, over all its pages."""
    later_day: str | None
    """The next day that arXiv announced, where the page links to one."""
    day: str
    """The listing day in its heading."""


def fetch(client: Client, upstreams: Upstreams, category: str, day: str, page: int = 1) -> Response:
    """One catch-up page with abstracts; a page is counted from 1."""
    params = {"abs": "True", "page": str(page)}
    return client.get(f"{upstreams.arxiv_web}/catchup/{category}/{day}", params)


def fetch_new(client: Client, upstreams: Upstreams, category: str, skip: int = 0) -> Response:
    """The newest listing, whichever day that is, without its first `skip` entries."""
    params = {"skip": str(skip), "show": str(PAGE_SIZE)}
    return client.get(f"{upstreams.arxiv_web}/list/{category}/new", params)


def parse(body: bytes, day: str | None, seen_at: str) -> Parsed:
    """Every entry of one page; raises SourceChanged as `read` does."""
    return read(body, day, seen_at).parsed


def read(body: bytes, day: str | None, seen_at: str) -> Page:
    """One page; raises SourceChanged where it is not the listing of `day`, whole and as counted.

    `day` None takes the listing of any day.
    """
    root = _root(body)
    listed = _listed_day(root)
    if day not in (None, listed):
        raise SourceChanged(f"the listing of {day} is due, that of {listed} came")
    sections = list(_sections(root))
    entries = [(section, dt) for section in sections for dt in section.entries]
    total = _total(root, sections)
    if total is None or (total and not entries):
        raise SourceChanged(f"a listing of {total or 'some'} entries is due, none came")
    observed = [_observe(dt, seen_at) for _, dt in entries]
    return Page(
        Parsed(
            tuple(one for one in observed if isinstance(one, Observation)),
            tuple(one for one in observed if isinstance(one, Rejected)),
        ),
        {found.base: section.type for section, dt in entries if (found := _id_of(dt))},
        total,
        _later_day(root, listed),
        listed,
    )


class _Section(NamedTuple):
    type: str
    shown: int
    total: int
    entries: list[etree._Element]
    """The `dt` of each."""


def _root(body: bytes) -> etree._Element:
    if b"</html>" not in body[-1000:].lower():
        raise SourceChanged(f"half a page, or none: {len(body)} bytes that do not end as one")
    text = body.decode("utf-8", "replace").encode()
    try:
        root = etree.fromstring(text, etree.HTMLParser(encoding="utf-8", no_network=True))
    except (etree.LxmlError, ValueError):
        root = None
    if root is None:
        raise SourceChanged("this is not a page that can be read")
    return root


def _listed_day(root: etree._Element) -> str:
    """The day in the page's heading."""
    found = next(filter(None, map(_HEADING.match, map(_line, root.iter("h1", "h3")))), None)
    if not found:
        raise SourceChanged("no listing's heading on this page: another page, or it has changed")
    month = found["month"].lower()
    number = _MONTHS.index(month) + 1 if month in _MONTHS else 0
    return f"{found['year']}-{number:02d}-{int(found['day']):02d}"


def _sections(root: etree._Element) -> Iterator[_Section]:
    """Each section with its entries; raises SourceChanged where its own count is wrong."""
    section = None
    for element in root.iter("h3", "dt"):
        if element.tag == "dt":
            if section is None:
                raise SourceChanged("an entry stands outside every section")
            section.entries.append(element)
        elif heading := _SECTION.fullmatch(_line(element)):
            yield from _checked(section)
            section = _Section(
                _TYPES[heading["type"]], _count(heading["shown"]), _count(heading["total"]), []
            )
    yield from _checked(section)


def _checked(section: _Section | None) -> Iterator[_Section]:
    if section is None:
        return
    if len(section.entries) != section.shown:
        said = f"showing {section.shown} of {section.total} but {len(section.entries)} found"
        raise SourceChanged(f"{section.type}: {said}")
    yield section


def _total(root: etree._Element, sections: list[_Section]) -> int | None:
    """What the page says of the whole day (its sections may be those of one page); None: nothing.

    Raises SourceChanged where it contradicts itself.
    """
    words = root.xpath("descendant::text()[not(ancestor::dd)]")  # an abstract may say anything
    stated = {_count(found[1]) for found in map(_TOTAL.search, words) if found}
    counted = sum(section.total for section in sections)
    if len(stated) > 1 or (stated and max(stated) < counted):
        raise SourceChanged(f"the page counts {sorted(stated)} entries, its sections {counted}")
    if stated or sections:
        return max(stated, default=counted)
    return 0 if any(map(_NOTHING.search, words)) else None


def _count(digits: str) -> int:
    return int(digits.replace(",", "")[:9])


def _later_day(root: etree._Element, day: str) -> str | None:
    """The day of the link "Continue to the next day"."""
    for link in root.iter("a"):
        found = re.fullmatch(r".*/catchup/[^/]+/(\d{4}-\d\d-\d\d)", _path(link))
        if found and found[1] > day:
            return found[1]
    return None


def _path(link: etree._Element) -> str:
    try:
        return str(urlsplit(link.get("href", "")).path)
    except ValueError:
        return ""


def _id_of(dt: etree._Element) -> ids.ArxivId | None:
    """The id in the entry's link to its abstract page."""
    for link in dt.iter("a"):
        if "/abs/" in (path := _path(link)):
            return ids.find(path.partition("/abs/")[2])
    return None


def _observe(dt: etree._Element, seen_at: str) -> Observation | Rejected:
    told, found, dd = _line(dt), _id_of(dt), _description(dt)
    if found is None:
        return Rejected(f"not an arXiv id: {told[:80]}", told)
    if dd is None:
        return Rejected("an entry without its description", told, found.base)
    fields = _fields(dd)
    title, abstract, comment = (_line(fields.get(name)) for name in _FIELDS[:3])
    if not title:
        return Rejected("no title", _line(dd), found.base)
    return Observation(
        source=SOURCE,
        arxiv_id=found.base,
        seen_at=seen_at,
        title=title,
        abstract=abstract or None,
        authors=_authors(fields.get("list-authors")),
        categories=_subjects(fields.get("list-subjects")),
        comment=comment or None,
        journal_ref=_line(fields.get("list-journal-ref")) or None,
        doi=_line(fields.get("list-doi")) or None,
        withdrawn=says_withdrawn(comment, abstract) or None,
    )


def _description(dt: etree._Element) -> etree._Element | None:
    """The `dd` that follows at once."""
    following = next(dt.itersiblings("dt", "dd"), None)
    return following if following is not None and following.tag == "dd" else None


def _fields(dd: etree._Element) -> dict[str, etree._Element]:
    """The elements by class. Titles have the abstract's class as well, which alone is a `p`."""
    found: dict[str, etree._Element] = {}
    for element in dd.iter(etree.Element):
        for name in element.get("class", "").split():
            if name in _FIELDS and (name != "mathjax" or element.tag == "p"):
                found.setdefault(name, element)
    return found


def _line(element: etree._Element | None) -> str:
    """The text of an element in one line, without its label, its addresses written out."""
    return "" if element is None else one_line("".join(_words(element)))


def _words(element: etree._Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag == "br":
            yield "\n"
        elif child.tag == "a" and _HIDDEN_ADDRESS.fullmatch((child.text or "").strip()):
            yield child.get("href", "")
        elif isinstance(child.tag, str) and "descriptor" not in child.get("class", "").split():
            yield from _words(child)
        yield child.tail or ""


def _authors(element: etree._Element | None) -> tuple[str, ...]:
    """The names; nothing at all of a list that was cut, since the rest would be lost."""
    if element is None:
        return ()
    names = tuple(filter(None, map(_line, element.iter("a"))))
    cut = len(names) > _MOST_AUTHORS or _CUT.search(_line(element))
    return () if cut else names


def _subjects(element: etree._Element | None) -> tuple[str, ...]:
    """The categories, primary first, as they stand in "Machine Learning (cs.LG); ..."."""
    if element is None:
        return ()
    texts = (_line(_fields(element).get("primary-subject")), _line(element))
    return tuple(dict.fromkeys(name for text in texts for name in _SUBJECT.findall(text)))
