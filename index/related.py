"""Papers to the "Related Papers" block of a prompt, in the one form that prompt builders parse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ingest.paper import Paper
from ingest.text import one_line

HEADING = "### Related Papers:"


def block(papers: Iterable[Paper]) -> str:
    """The heading and an entry a paper, one blank line between entries, no line break at the end.

    Every field stands on one line without control, bidirectional or zero-width characters, so
    that no title or abstract can begin a line of its own. `GitHub:` stands only where the paper
    has a repository of its own; a paper without abstract keeps `Summary:` with nothing behind it.
    """
    entries = ["\n".join(_lines(paper)) for paper in papers]
    return HEADING + "\n" + "\n\n".join(entries)


def _lines(paper: Paper) -> Iterator[str]:
    yield _field("Model", paper.title)
    yield _field("Paper", paper.pdf_url)
    if paper.repo:
        yield _field("GitHub", paper.repo.url)
    yield _field("Summary", paper.abstract)


def _field(name: str, value: str | None) -> str:
    return f"{name}: {one_line(value or '')}".rstrip()
