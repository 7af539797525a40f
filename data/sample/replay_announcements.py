"""arXiv's listing pages and feeds, made from `announcements/<category>/<day>.json`.

A file is the listing of that category for that day: a list of `id`, `version`, `type` (`new`,
`cross` or `replace`), `title`, `authors`, `comments`, `categories` (primary first), `abstract`,
and, where there are any, `journal_ref`, `doi` and `license`. The newest day of all files is today.
The pages have the structure of arXiv's own, in our words; they are short (10 entries), so that a
listing of ordinary size needs several.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
Source = Literal["arxiv_catchup", "arxiv_new", "arxiv_feed"]
SOURCES: tuple[Source, ...] = ("arxiv_catchup", "arxiv_new", "arxiv_feed")
Entry = Mapping[str, Any]

PAGE = 10
DAYS_KEPT = 90
HTML, RSS, ATOM = "text/html", "application/rss+xml", "application/atom+xml"
SECTIONS = {"new": "New", "cross": "Cross", "replace": "Replacement"}
SUBJECT = re.compile(r"[a-z-]+(\.[A-Za-z-]+)?")
ADDRESS = re.compile(r"https?://[^\s<>]*[^\s<>.,;)]")


def answer(folder: Path, path: str, query: Mapping[str, str]) -> tuple[Source, Answer] | None:
    """The source that `path` belongs to, and what it gets; None for a page that is not here."""
    root = folder / "announcements"
    if asked := re.fullmatch(r"/web/catchup/([^/]+)/([^/]+)", path):
        return "arxiv_catchup", catchup(root, asked[1], asked[2], query)
    if asked := re.fullmatch(r"/web/list/([^/]+)/new", path):
        return "arxiv_new", newest(root, asked[1], query)
    if asked := re.fullmatch(r"/rss/(rss|atom)/([^/]+)", path):
        return "arxiv_feed", feed(root, asked[1], re.split(r"\+|%2B", asked[2]))
    return None


def catchup(root: Path, subject: str, day: str, query: Mapping[str, str]) -> Answer:
    """A day's listing; a day without a file has no entries, one that is too old is refused."""
    refusal = _refusal(root, subject, day, query)
    if refusal:
        return _page(f"<h1>Bad request</h1>\n<p>{refusal}</p>", 400)
    entries = _entries(root, subject, day)
    later = min((one for one in _days(root) if one > day), default=None)
    number = int(query.get("page", 1))
    abstracts = query.get("abs") == "True"
    return _page(catchup_listing(subject, day, entries, later, number, abstracts=abstracts))


def newest(root: Path, subject: str, query: Mapping[str, str]) -> Answer:
    """Today's listing from entry `skip` on."""
    day = max(_days(root), default="2026-01-05")
    skip = int(query.get("skip", 0))
    show = min(int(query.get("show", 50)), PAGE)
    return _page(new_listing(subject, day, _entries(root, subject, day), skip, show))


def feed(root: Path, form: str, categories: Sequence[str]) -> Answer:
    """Today's feed of the categories together, one item a paper; unknown ones are an error."""
    day = max(_days(root), default="2026-01-05")
    wrong = [name for name in categories if not SUBJECT.fullmatch(name)]
    if wrong:
        body = rss_error(f"{wrong[0]} is not a category", "+".join(categories))
        return 400, {"Content-Type": RSS}, body
    listed = [(entry, name) for name in categories for entry in _sorted(_entries(root, name, day))]
    listed.sort(key=lambda one: list(SECTIONS).index(one[0]["type"]))
    papers = {entry["id"]: (entry, name) for entry, name in reversed(listed)}
    items = [papers[key] for key in reversed(papers) if papers[key][0]["version"] <= 5]
    write = atom if form == "atom" else rss
    media = ATOM if form == "atom" else RSS
    return 200, {"Content-Type": media}, write("+".join(categories), day, items)


def without_entries(body: bytes) -> bytes:
    """The same page or feed, well-formed, with nothing on it."""
    bare = re.sub(rb"<(dl|item|entry)\b.*</\1>", b"", body, flags=re.DOTALL)
    bare = re.sub(rb'<a href="/catchup.*?</a>', b"", bare)
    return re.sub(rb"Total of \d+", b"Total of 0", bare)


# pages -------------------------------------------------------------------------------------


def catchup_listing(
    subject: str,
    day: str,
    entries: Sequence[Entry],
    later: str | None = None,
    number: int = 1,
    *,
    size: int = PAGE,
    abstracts: bool = True,
) -> str:
    """The content of one catch-up page."""
    when = date.fromisoformat(day).strftime("%a, %d %b %Y")
    link = f'<a href="/catchup/{subject}/{later}?abs={abstracts}&amp;page=1">'
    onward = f"{link}Continue to the next day</a>" if later else ""
    numbers = range(1, len(entries) // size + 2) if len(entries) > size else ()
    view = " ".join(
        f"<span>{n}</span>"
        if n == number
        else f"<a href=/catchup/{subject}/{day}?abs={abstracts}&amp;page={n}>{n}</a>"
        for n in numbers
    )
    counted = f"<div>\n{onward}\nTotal of {len(entries)} entries for {when}\n{view}</div>"
    nothing = f"<div><p>No updates for {when}.</p></div>"
    sections = _sections(entries, (number - 1) * size, size, abstracts=abstracts)
    heading = f"<h1>Catchup results for {subject} on {when}</h1>"
    return "\n".join((heading, counted, sections or nothing, counted))


def new_listing(
    subject: str, day: str, entries: Sequence[Entry], skip: int = 0, show: int = PAGE
) -> str:
    """The content of the page of the newest listing."""
    when = date.fromisoformat(day)
    heading = f"<h3>Showing new listings for {when:%A}, {when.day} {when:%B %Y}</h3>"
    sections = _sections(entries, skip, show)
    counted = f"<div class='paging'>Total of {len(entries)} entries </div>" if entries else ""
    nothing = "<p>No updates today.</p>"
    return "\n".join((f"<h1>{subject}</h1>", heading, counted, sections or nothing, counted))


def _sections(entries: Sequence[Entry], skip: int, size: int, *, abstracts: bool = True) -> str:
    """Those of the three sections that reach into this page."""
    ordered = list(enumerate(_sorted(entries), start=1))
    here = ordered[skip : skip + size]
    parts = []
    for kind, name in SECTIONS.items():
        total = [number for number, entry in ordered if entry["type"] == kind]
        shown = [(number, entry) for number, entry in here if entry["type"] == kind]
        if shown:
            words = _showing(total, [number for number, _ in shown])
            listed = "\n".join(_listed(*one, abstracts=abstracts) for one in shown)
            heading = f"<h3>{name} submissions ({words})</h3>"
            parts.append(f"<dl id='articles'>\n{heading}\n{listed}\n</dl>")
    return "\n".join(parts)


def _showing(total: Sequence[int], shown: Sequence[int]) -> str:
    first, last = shown[0] == total[0], shown[-1] == total[-1]
    words = "showing " if first else "continued, showing "
    words += "" if first and last else "first " if first else "last " if last else ""
    return f"{words}{len(shown)} of {len(total)} entries"


def _listed(number: int, entry: Entry, *, abstracts: bool) -> str:
    """One entry: `dt` and `dd`."""
    name, primary = entry["id"], entry["categories"][0]
    mark = {"cross": f"(cross-list from {primary})", "replace": "(replaced)"}
    fields = [
        _field("title mathjax", "Title", html.escape(entry["title"])),
        f"<div class='list-authors'>{', '.join(map(_author, entry['authors']))}</div>",
    ]
    if entry.get("comments"):
        fields.append(_field("comments mathjax", "Comments", _linked(entry["comments"])))
    if entry.get("journal_ref"):
        fields.append(_field("journal-ref", "Journal-ref", html.escape(entry["journal_ref"])))
    fields.append(_field("subjects", "Subjects", _subjects(entry["categories"])))
    if abstracts:
        fields.append(f"<p class='mathjax'>\n{_linked(entry['abstract'])}\n</p>")
    return (
        f"<dt>\n<a name='item{number}'>[{number}]</a>\n"
        f'<a href ="/abs/{name}" title="Abstract" id="{name}">\narXiv:{name}\n</a>\n'
        f"{mark.get(entry['type'], '')}\n"
        f'[<a href="/pdf/{name}" title="Download PDF" id="pdf-{name}">pdf</a>, '
        f'<a href="https://arxiv.org/html/{name}v{entry["version"]}" title="View HTML">html</a>]\n'
        "</dt>\n<dd>\n<div class='meta'>\n" + "\n".join(fields) + "\n</div>\n</dd>"
    )


def _field(kind: str, label: str, content: str) -> str:
    label = f"<span class='descriptor'>{label}:</span>"
    return f"<div class='list-{kind}'>{label}\n{content}\n</div>"


def _author(name: str) -> str:
    return f'<a href="/search/?searchtype=author" rel="nofollow">{html.escape(name)}</a>'


def _subjects(categories: Sequence[str]) -> str:
    first, *others = (f"Field {name.rpartition('.')[2]} ({name})" for name in categories)
    return f'<span class="primary-subject">{first}</span>' + "".join(f"; {one}" for one in others)


def _linked(text: str) -> str:
    """arXiv shows addresses as "this https URL"."""
    link = r'<a href="\g<0>" rel="external noopener nofollow">this https URL</a>'
    return ADDRESS.sub(link, html.escape(text, quote=False))


def _page(content: str, status: int = 200) -> Answer:
    return status, {"Content-Type": HTML}, page(content)


def page(content: str) -> bytes:
    """A whole page around its content."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>arXiv</title></head>\n'
        f"<body>\n<div id='content-inner'>\n<div id='dlpage'>\n{content}\n</div>\n</div>\n"
        "<footer><ul><li><a href='/help'>Help</a></li></ul></footer>\n</body>\n</html>\n"
    ).encode()


# feeds -------------------------------------------------------------------------------------

SPACES = 'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/"'


def rss(name: str, day: str, items: Sequence[tuple[Entry, str]]) -> bytes:
    """An RSS 2.0 feed; each item comes with the category that lists it."""
    midnight = _midnight(day, "%a, %d %b %Y 00:00:00 ")
    parts = [
        f"<item><title>{escape(entry['title'])}</title>"
        f"<link>https://arxiv.org/abs/{entry['id']}</link>"
        f"<description>{escape(_description(entry, listed))}</description>"
        f'<guid isPermaLink="false">oai:arXiv.org:{entry["id"]}v{entry["version"]}</guid>'
        f"{''.join(f'<category>{one}</category>' for one in entry['categories'])}"
        f"<pubDate>{midnight}</pubDate>{_extensions(entry, listed)}</item>"
        for entry, listed in items
    ]
    return _rss(f"{name} updates on arXiv.org", "", midnight, parts)


def rss_error(reason: str, name: str) -> bytes:
    """The feed that a wrong category gets."""
    return _rss(f"Feed error for query: {escape(name)}", escape(reason), "", [])


def atom(name: str, day: str, items: Sequence[tuple[Entry, str]]) -> bytes:
    """An Atom feed."""
    midnight = _midnight(day, "%Y-%m-%dT00:00:00")
    midnight = f"{midnight[:-2]}:{midnight[-2:]}"
    parts = [
        f"<entry><id>oai:arXiv.org:{entry['id']}v{entry['version']}</id>"
        f"<title>{escape(entry['title'])}</title><updated>{midnight}</updated>"
        f'<link href="https://arxiv.org/abs/{entry["id"]}" rel="alternate" type="text/html"/>'
        f"<summary>{escape(_description(entry, listed))}</summary>"
        f"{_terms(entry)}"
        f"<published>{midnight}</published>{_extensions(entry, listed)}</entry>"
        for entry, listed in items
    ]
    head = f"<id>{name}</id><title>{name} updates on arXiv.org</title><updated>{midnight}</updated>"
    feed = f'<feed {SPACES} xmlns="http://www.w3.org/2005/Atom">\n{head}\n'
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{feed}{chr(10).join(parts)}\n</feed>".encode()


def _rss(title: str, about: str, midnight: str, parts: Sequence[str]) -> bytes:
    head = f"<title>{title}</title><description>{about}</description><pubDate>{midnight}</pubDate>"
    items = "\n".join(parts)
    return f'<rss {SPACES} version="2.0">\n<channel>{head}\n{items}\n</channel></rss>\n'.encode()


def _terms(entry: Entry) -> str:
    return "".join(f'<category term="{one}"/>' for one in entry["categories"])


def _extensions(entry: Entry, listed: str) -> str:
    said = {
        "arxiv:announce_type": _announced(entry, listed),
        "dc:rights": entry.get("license"),
        "arxiv:DOI": entry.get("doi"),
        "arxiv:journal_reference": entry.get("journal_ref"),
        "dc:creator": ", ".join(entry["authors"]),
    }
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in said.items() if text)


def _description(entry: Entry, listed: str) -> str:
    named = f"{entry['id']}v{entry['version']}"
    return (
        f"arXiv:{named} Announce Type: {_announced(entry, listed)} \nAbstract: {entry['abstract']}"
    )


def _announced(entry: Entry, listed: str) -> str:
    """A replacement is `replace-cross` where another category is the primary one."""
    own = entry["type"] != "replace" or entry["categories"][0] == listed
    return str(entry["type"]) if own else "replace-cross"


def _midnight(day: str, form: str) -> str:
    """Midnight in New York: four hours behind in summer time, five in winter time."""
    when = date.fromisoformat(day)
    march, november = date(when.year, 3, 8), date(when.year, 11, 1)
    spring = march + timedelta(days=(6 - march.weekday()) % 7)
    autumn = november + timedelta(days=(6 - november.weekday()) % 7)
    # On the two Sundays themselves the clocks change after midnight.
    return when.strftime(form) + ("-0400" if spring < when <= autumn else "-0500")


# files -------------------------------------------------------------------------------------


def _days(root: Path) -> list[str]:
    return sorted({file.stem for file in root.glob("*/????-??-??.json")})


def _entries(root: Path, category: str, day: str) -> list[Entry]:
    file = root / category / f"{day}.json"
    entries: list[Entry] = json.loads(file.read_bytes()) if file.is_file() else []
    return entries


def _sorted(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (list(SECTIONS).index(entry["type"]), entry["id"]))


def _refusal(root: Path, subject: str, day: str, query: Mapping[str, str]) -> str | None:
    """The service's reason for a 400."""
    if not SUBJECT.fullmatch(subject):
        return "Invalid subject"
    if query.keys() - {"abs", "page"} or query.get("abs", "True") not in ("True", "False"):
        return "Unexpected parameters"
    if not re.fullmatch(r"[1-9]\d{0,3}", query.get("page", "1")):
        return "Invalid page value"
    try:
        asked = date.fromisoformat(day) if re.fullmatch(r"\d{4}-\d\d-\d\d", day) else None
    except ValueError:
        asked = None
    if asked is None:
        return "Invalid date format"
    today = date.fromisoformat(max(_days(root), default=day))
    return "Invalid date" if asked < today - timedelta(days=DAYS_KEPT) else None
