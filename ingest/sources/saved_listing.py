"""A Daily Papers page that somebody saved: as text copied from a browser, or as HTML.

The text has no ids and no marks, only an order: title, abstract, number of authors, date and
number of comments, `Aug 14, 2024 2`. Before the first paper stands the head of the page.

The site leaves the year away in dates of its own year. So the page's year, where its head does not
say it, is the later one of the year after the last that is written out, and the year of the newest
arXiv id in the text; a date that would then lie after the page's own belongs to the year before.
Where nothing tells the year, such days are None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple

from ingest.errors import SourceChanged
from ingest.paper import Observation, Rejected
from ingest.sources import huggingface
from ingest.text import one_line

SOURCE = "saved_listing"
LONG = 200
"""Characters: no title is so long, hardly an abstract so short."""

_BULLETS = "·•∙⋅‧・●▪‣◦|*- "
_AUTHORS = re.compile(r"(\d{1,3}(?:,?\d{3})*) authors?\b", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    r"(?:(?:published|submitted) on )?"
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.? "
    r"(?P<day>[0-3]?\d)(?:,? (?P<year>(?:19|20)\d\d))?(?: (?P<comments>\d{1,5})\b)?(?P<rest>.*)",
    re.IGNORECASE,
)
_ARXIV_YEAR = re.compile(r"arxiv(?:\.org/(?:abs|pdf)/|:\s*)(\d\d)(?:0[1-9]|1[0-2])\.\d{4,5}", re.I)


@dataclass(frozen=True, slots=True)
class Entry:
    """One paper of a saved listing; `day` is its own date, ISO, not that of the listing."""

    title: str
    abstract: str | None = None
    author_count: int | None = None
    day: str | None = None
    comments: int | None = None
    arxiv_id: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A saved page, read: its papers in order, and what could not be read (HTML only)."""

    entries: tuple[Entry, ...]
    rejected: tuple[Rejected, ...] = ()


def parse(body: bytes) -> Listing:
    """The papers of a saved listing; raises SourceChanged where the file is none."""
    text = _decoded(body)
    if text.lstrip().startswith("<") or 'data-target="DailyPapers"' in text:
        return _from_html(text.encode())
    return _from_text(text)


def _decoded(body: bytes) -> str:
    if body.startswith(b"%PDF"):
        raise SourceChanged("this is a PDF: save the Daily Papers page as HTML or as text")
    unicode16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if unicode16 else ("utf-8-sig", "cp1252"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise SourceChanged("this is no text: save the Daily Papers page as HTML or as text")


# HTML: the page carries its data.


def _from_html(body: bytes) -> Listing:
    _, raw = huggingface.page_entries(huggingface.read_props(body))
    read = [(huggingface.observe(one, None, ""), one) for one in raw]
    return Listing(
        tuple(_entry(said, one) for said, one in read if isinstance(said, Observation)),
        tuple(said for said, _ in read if isinstance(said, Rejected)),
    )


def _entry(said: Observation, raw: Mapping[str, object]) -> Entry:
    return Entry(
        title=said.title or "",
        abstract=said.abstract,
        author_count=len(said.authors) or None,
        day=said.published[:10] if said.published else None,
        comments=huggingface.count(raw.get("numComments")),
        arxiv_id=said.arxiv_id,
    )


# Text: lines, then stretches that end with a foot (authors, date), then titles and abstracts.


class _Date(NamedTuple):
    """A date as written: the year is often left away."""

    month: int
    day: int
    year: int | None
    comments: int | None
    rest: str
    """What is glued to its end."""


class _Line(NamedTuple):
    """One line and what it is; `text` may turn out to be a date glued to something."""

    kind: Literal["blank", "authors", "date", "number", "text"]
    text: str = ""
    number: int = 0
    date: _Date | None = None


@dataclass
class _Stretch:
    """The lines up to a foot, as paragraphs, and that foot."""

    paragraphs: list[list[str]] = field(default_factory=lambda: [[]])
    authors: int | None = None
    date: _Date | None = None
    comments: int | None = None

    @property
    def texts(self) -> list[str]:
        """Its paragraphs; its lines where no blank line parts the title from the abstract."""
        filled = [lines for lines in self.paragraphs if lines]
        return filled[0] if len(filled) == 1 else [" ".join(lines) for lines in filled]

    @property
    def has_foot(self) -> bool:
        """True where a paper's last lines end it."""
        return self.authors is not None or self.date is not None

    @property
    def is_head(self) -> bool:
        """True for the head of a page: a date, but neither authors nor anything like prose."""
        return self.date is not None and self.authors is None and not any(map(_prose, self.texts))


def _from_text(text: str) -> Listing:
    stretches = _stretches(map(_line, _lines(text)))
    heads = [one for one in stretches if one.is_head]
    written = [one.date for one in stretches if one.date]
    page = heads[0].date if heads else None
    year = page.year if page and page.year else _page_year(written, text)
    entries: list[Entry] = []
    for index, one in enumerate(stretches):
        if not one.is_head:
            # Unless a date ended the head, it may hold anything; so may the foot of the page.
            sure = index > 0 and one.has_foot
            entries.extend(_entries(one, 0 if sure else LONG, year, page))
    if not entries or not any(one.has_foot for one in stretches):
        raise SourceChanged(
            "no papers in this file: save a Daily Papers page as HTML, or copy all of its text"
        )
    return Listing(tuple(entries))


def _lines(text: str) -> Iterator[str]:
    """Clean lines; a foot on one line, `4 authors · Aug 14, 2024 · 2`, is parted."""
    for raw in text.splitlines():
        line = one_line(raw)
        if _AUTHORS.match(line.lstrip(_BULLETS)):
            yield from (part for part in re.split(r"\s*[·•∙⋅‧・|]\s*", line) if part)
        else:
            yield line


def _line(line: str) -> _Line:
    bare = line.strip(_BULLETS)
    if not bare:
        return _Line("blank")
    if authors := _AUTHORS.fullmatch(bare):
        return _Line("authors", number=int(authors[1].replace(",", "")))
    if re.fullmatch(r"[0-9]{1,5}", bare):
        return _Line("number", number=int(bare))
    written = _date(bare)
    if written and not written.rest:
        return _Line("date", date=written)
    return _Line("text", line.lstrip(_BULLETS), date=written)


def _date(text: str) -> _Date | None:
    found = _DATE.match(text)
    if found is None:
        return None
    month = _MONTHS.index(found["month"][:3].lower()) + 1
    year, comments = (int(said) if said else None for said in found.group("year", "comments"))
    return _Date(month, int(found["day"]), year, comments, found["rest"].strip(_BULLETS))


def _stretches(lines: Iterable[_Line]) -> list[_Stretch]:
    """The lines in stretches, each ended by its date, or by a text after its number of authors."""
    stretches = [_Stretch()]
    before: _Line = _Line("blank")
    for line in lines:
        here = stretches[-1]
        if line.date and (line.kind == "date" or here.authors is not None):
            here.date, here.comments = line.date, line.date.comments
            stretches.append(_Stretch([[line.date.rest] if line.date.rest else []]))
        elif line.kind == "authors":
            here.authors = line.number
        elif line.kind == "blank":
            here.paragraphs.append([])
        elif line.kind == "text":
            if here.authors is not None:
                here = _Stretch()
                stretches.append(here)
            here.paragraphs[-1].append(line.text)
        elif before.kind == "date" and len(stretches) > 1:
            stretches[-2].comments = line.number
        before = line
    return stretches


def _prose(text: str) -> bool:
    """True for what reads like an abstract, or a part of one, and not like a title."""
    sentence = text.endswith((".", "…")) and text.count(" ") >= 3
    return len(text) >= LONG or sentence or "://" in text or "github.com/" in text


def _entries(stretch: _Stretch, least: int, year: int | None, page: _Date | None) -> list[Entry]:
    """The papers of one stretch whose abstracts have `least` characters; its foot is the last's."""
    foot = (stretch.authors, _day(stretch.date, year, page), stretch.comments)
    pairs = _pairs(stretch.texts, footed=stretch.has_foot)
    read = [Entry(*pair, *(foot if at == 0 else ())) for at, pair in enumerate(pairs)]
    read = [one for one in read if one.author_count is not None or len(one.abstract or "") >= least]
    return read[::-1]


def _pairs(texts: list[str], *, footed: bool) -> Iterator[tuple[str, str | None]]:
    """Titles and abstracts from the last to the first: before a paper may stand junk, not after."""
    end = len(texts)
    while end > 0:
        begin = end
        while begin > 0 and _prose(texts[begin - 1]):
            begin -= 1
        if begin == end and footed and end == len(texts):
            begin = max(end - 1, 1)  # a foot follows: a short abstract, or a title alone
        elif begin == end:
            end -= 1
            continue
        begin = max(begin, 1)
        yield texts[begin - 1], " ".join(texts[begin:end]) or None
        end = begin - 1


def _page_year(written: Iterable[_Date], text: str) -> int | None:
    """The year of a page that does not say it, by the rule at the top of this file."""
    after = [one.year + 1 for one in written if one.year]
    named = [2000 + int(year) for year in _ARXIV_YEAR.findall(text)]
    return max(after + named, default=None)


def _day(written: _Date | None, page_year: int | None, page: _Date | None) -> str | None:
    if written is None:
        return None
    year = written.year or page_year
    if year and not written.year and page and written[:2] > page[:2]:
        year -= 1
    try:
        return date(year, written.month, written.day).isoformat() if year else None
    except ValueError:  # Feb 30
        return None
