"""Models and papers to the blocks of a prompt, in the one form that builders parse, and back.

Every field stands on one line, so no title or abstract can begin a line of its own: a heading, a
field or an entry cannot be forged, and `parse_block` gives back what `block` was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest import ids
from ingest.errors import BadInput
from ingest.paper import Paper
from ingest.text import exact_line, one_line

HEADING = "### Related Papers:"
MODELS_HEADING = "### Recommended AI Models:"

_NAME = ("name", "model", "title")
_PAPER = ("paper", "pdf_url", "paper_url", "pdf", "url", "link")
_GITHUB = ("github", "github_url", "repo_url", "repository", "repo", "code")
_SUMMARY = ("summary", "abstract")
_ENTRY = re.compile(
    r"Model:(?: (?P<name>.+))?"
    r"(?:\nPaper: (?P<paper>.+))?"
    r"(?:\nGitHub: (?P<github>.+))?"
    r"(?:\nSummary:(?: (?P<summary>.+))?)?"
)

Line = Callable[[str], str]
"""Any text to one line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a block says of one model or paper; two are equal when they say the same."""

    name: str
    """The model's name or the paper's title; empty where it has none."""
    paper: str | None = None
    """The link behind `Paper:`."""
    github: str | None = None
    summary: str | None = None
    """The abstract; no line of a model's."""
    shortened: bool = field(default=False, compare=False)
    """True where a budget cut the summary at the end of a sentence."""
    source: Any = field(default=None, compare=False, repr=False)
    """The value that the entry was made from."""


def entry(value: object, *, exact: bool = False) -> Entry:
    """The entry of a Paper, a Hit, an Entry, a mapping, or any object with such attributes.

    A mapping's keys, in any case, or an object's attributes: `name`, `model` or `title`; `paper`,
    `pdf_url`, `url` or `arxiv_id`; `github` or `repo_url`; `summary` or `abstract`. Raises
    BadInput where there is no name, or a field is not text.
    """
    line = exact_line if exact else one_line
    paper = value if isinstance(value, Paper) else getattr(value, "paper", None)
    told = _of_paper(paper) if isinstance(paper, Paper) else _told(value)
    name, *others = (None if text is None else line(text) for text in told)
    link, github, summary = (text or None for text in others)
    return Entry(name or "", link, github, summary, source=value)


def block(entries: Iterable[object], heading: str = HEADING, *, exact: bool = False) -> str:
    """The heading and the entries, one blank line between two, no line break at the end.

    Entries are whatever `entry` takes. `Paper:` and `GitHub:` stand only where there is a link; a
    paper without abstract keeps `Summary:` with nothing behind it, a model has none.
    """
    told = (lines(entry(one, exact=exact), heading) for one in entries)
    return heading + "\n" + "\n\n".join(told)


def lines(one: Entry, heading: str = HEADING) -> str:
    """The lines of one entry in the block of this heading; its fields must be clean already."""
    return "\n".join(_lines(one, with_summary=heading == HEADING))


def parse_block(text: str) -> tuple[Entry, ...]:
    """The entries of either block, the inverse of `block`; raises BadInput for any other text."""
    heading, _, rest = text.partition("\n")
    if heading not in (HEADING, MODELS_HEADING):
        raise BadInput(f"the block begins with {heading[:80]!r}, not with {HEADING!r}")
    rest = rest.rstrip("\n")
    return tuple(map(_parsed, rest.split("\n\n"))) if rest else ()


def _parsed(text: str) -> Entry:
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise BadInput(f"not an entry of a block: {text[:80]!r}")
    return Entry(match["name"] or "", match["paper"], match["github"], match["summary"])


def _lines(one: Entry, *, with_summary: bool) -> Iterator[str]:
    yield f"Model: {one.name}".rstrip()
    if one.paper:
        yield f"Paper: {one.paper}"
    if one.github:
        yield f"GitHub: {one.github}"
    if with_summary:
        yield f"Summary: {one.summary or ''}".rstrip()


def _of_paper(paper: Paper) -> tuple[str | None, ...]:
    github = paper.repo.url if paper.repo else None
    return paper.title or "", paper.pdf_url, github, paper.abstract


def _told(value: object) -> tuple[str | None, ...]:
    """Name, paper, repository and summary as a mapping or an object tells them."""
    if isinstance(value, Mapping):
        get: Callable[[str], Any] = {str(key).lower(): value[key] for key in value}.get
    else:
        get = lambda key: getattr(value, key, None)  # noqa: E731 -- the other half of one choice
    name, paper, github, summary = (_text(get, keys) for keys in (_NAME, _PAPER, _GITHUB, _SUMMARY))
    if name is None:
        raise BadInput(f"no title or name in {str(value)[:80]!r}: give one of {', '.join(_NAME)}")
    return name, paper or _pdf(get), github or _own_repository(get), summary


def _text(get: Callable[[str], Any], keys: tuple[str, ...]) -> str | None:
    """The first of these that is told."""
    key, told = next(((key, get(key)) for key in keys if get(key) is not None), ("", None))
    if told is None or isinstance(told, str):
        return told
    raise BadInput(f"{key} is {str(told)[:80]!r}: give text")


def _pdf(get: Callable[[str], Any]) -> str | None:
    """The link of a record that gives its arXiv id, as `Paper.to_record` does."""
    found = ids.find(_text(get, ("arxiv_id",)) or "")
    return Paper(found.base, found.version or get("version")).pdf_url if found else None


def _own_repository(get: Callable[[str], Any]) -> str | None:
    """The first of a record's repositories that is the paper's own."""
    repos = get("repos")
    told = repos if isinstance(repos, list | tuple) else ()
    return next((repo["url"] for repo in told if isinstance(repo, Mapping) and repo["own"]), None)
