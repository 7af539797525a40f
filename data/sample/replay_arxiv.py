"""arXiv's Atom API for the replay: by ids, by title words, by category and time of submission.

`arxiv/*.xml` of the wire folder are Atom feeds; their entries are what the API knows, every version
of a paper by itself. Of the search language it understands `ti:`, `cat:` and `submittedDate:`, each
once and joined by AND.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ATOM = "application/atom+xml"

Query = Mapping[str, str]
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_WELL_FORMED = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v[1-9]\d*)?")
_SUBMITTED = re.compile(r"\bsubmittedDate:\[(\d{12}) TO (\d{12})\]")


@dataclass(frozen=True)
class Entry:
    """One `<entry>` as it stands in a wire file."""

    base: str
    version: int
    words: tuple[str, ...]
    submitted: str
    """The minute of version 1, as a search names it."""
    categories: frozenset[str]
    xml: str


def atom(folder: Path, query: Query) -> Reply:
    """One page of what is asked for; one malformed id spoils the whole batch."""
    asked = [part.strip() for part in query.get("id_list", "").split(",") if part.strip()]
    for name in asked:
        if not _WELL_FORMED.fullmatch(name):
            return _error(f"incorrect id format for {name}")
    for name in ("start", "max_results"):
        if not _NUMBER.fullmatch(query.get(name, "0")):
            return _error(f"{name} must be an integer")
    start, size = int(query.get("start", 0)), int(query.get("max_results", 10))
    if size > 2000:
        return _error("max_results must be less than or equal to 2000")
    found = _found(_entries(folder), asked, query.get("search_query", "").strip())
    page = [entry.xml for entry in found[start : start + size]]
    return feed(page, len(found), start, size)


def feed(
    entries: Sequence[str], total: int = 0, start: int = 0, size: int = 10, status: int = 200
) -> Reply:
    """A feed of these entries, as one page of `total`."""
    text = (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">\n'
        "  <id>https://arxiv.org/api/replay</id>\n  <title>arXiv Query</title>\n"
        f"  <updated>{_moment()}</updated>\n"
        f"  <opensearch:itemsPerPage>{size}</opensearch:itemsPerPage>\n"
        f"  <opensearch:totalResults>{total}</opensearch:totalResults>\n"
        f"  <opensearch:startIndex>{start}</opensearch:startIndex>\n"
        f"{''.join(f'  {entry}' + chr(10) for entry in entries)}</feed>\n"
    )
    return status, {"Content-Type": ATOM}, text.encode()


def cut_short(body: bytes) -> bytes:
    """The same page without the second half of its entries; what it counts stays."""
    entries = re.findall(rb"  <entry\b.*?</entry>\n", body, re.DOTALL)
    for entry in entries[(len(entries) + 1) // 2 :]:
        body = body.replace(entry, b"")
    return body


def _found(entries: Mapping[str, list[Entry]], asked: list[str], search: str) -> list[Entry]:
    """The entries meant, never in the order in which two ids were asked."""
    if asked:
        meant = [_version_of(entries, name) for name in reversed(dict.fromkeys(asked))]
        chosen = [entry for entry in meant if entry]
    else:
        chosen = [versions[-1] for versions in entries.values()] if search else []
        chosen.sort(key=lambda entry: (entry.submitted, entry.base))
    return [entry for entry in chosen if _matches(entry, search)] if search else chosen


def _version_of(entries: Mapping[str, list[Entry]], name: str) -> Entry | None:
    """The version asked for, or the newest."""
    base, _, version = re.fullmatch(r"(.*?)(v(\d+))?", name).groups()  # type: ignore[union-attr]  # matches any line
    versions = entries.get(base, [])
    if version is None:
        return versions[-1] if versions else None
    return next((entry for entry in versions if entry.version == int(version)), None)


def _matches(entry: Entry, search: str) -> bool:
    """Whether the entry is what every part of the search asks for; it must have one."""
    phrases = [_words(phrase) for phrase in re.findall(r'\bti:("[^"]*"|\S+)', search)]
    categories = re.findall(r"\bcat:(\S+)", search)
    times = _SUBMITTED.findall(search)
    title = f" {' '.join(entry.words)} "
    return (
        bool(phrases or categories or times)
        and all(f" {' '.join(phrase)} " in title for phrase in phrases)
        and entry.categories.issuperset(categories)
        and all(first <= entry.submitted <= last for first, last in times)
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _entries(folder: Path) -> dict[str, list[Entry]]:
    """Every entry of every file by base id, oldest version first."""
    entries: dict[str, list[Entry]] = {}
    for path in sorted((folder / "arxiv").glob("*.xml")):
        for xml in re.findall(r"<entry\b.*?</entry>", path.read_text("utf-8"), re.DOTALL):
            entry = _entry(xml)
            entries.setdefault(entry.base, []).append(entry)
    return {base: sorted(same, key=lambda entry: entry.version) for base, same in entries.items()}


def _entry(xml: str) -> Entry:
    where = re.search(r"<id>\s*https?://arxiv\.org/abs/(\S+?)v(\d+)\s*</id>", xml)
    title = re.search(r"<title[^>]*>(.*?)</title>", xml, re.DOTALL)
    if not where or not title:
        message = f"an entry without a versioned id or a title: {xml[:80]!r}"
        raise ValueError(message)
    published = re.search(r"<published>\s*([-\dT:]{16})", xml)
    submitted = re.sub(r"\D", "", published[1]) if published else ""
    terms = frozenset(re.findall(r'<category[^>]*\bterm="([^"]*)"', xml))
    return Entry(where[1], int(where[2]), _words(html.unescape(title[1])), submitted, terms, xml)


def _error(words: str) -> Reply:
    anchor = f"https://arxiv.org/api/errors#{html.escape(words.replace(' ', '_'))}"
    entry = (
        f"<entry>\n    <id>{anchor}</id>\n    <title>Error</title>\n"
        f"    <updated>{_moment()}</updated>\n"
        f'    <link href="{anchor}" rel="alternate" type="text/html"/>\n'
        f"    <summary>{html.escape(words)}</summary>\n"
        "    <author>\n      <name>arXiv api core</name>\n    </author>\n  </entry>"
    )
    return feed([entry], total=1, size=1, status=400)


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
