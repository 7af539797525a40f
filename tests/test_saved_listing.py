"""Saved Daily Papers pages: text as people paste it, and HTML."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import PaperfeedError, SourceChanged
from ingest.links import find_repos
from ingest.sources import saved_listing
from ingest.sources.saved_listing import Entry
from ingest.text import title_key

SEEN = "2025-03-03T05:00:00.000000Z"
HEAD = "new\n\nGet papers by mail!\n\nSubscribe\n\nDaily Papers\n\nbyAK and friends\n\n"
LONG = "We draw hands and count their fingers, again and again, until they are five. " * 4


def paper(title: str, foot: str = "  • 4 authors\n·\nAug 14, 2024 2", abstract: str = LONG) -> str:
    return f"{title}\n\n{abstract.strip()}\n\n{foot}\n\n"


def entries(text: str) -> tuple[Entry, ...]:
    return saved_listing.parse(text.encode()).entries


def facts(text: str) -> list[tuple[Any, ...]]:
    return [(e.title, e.author_count, e.day, e.comments) for e in entries(text)]


def test_a_page_is_read_in_order() -> None:
    text = (
        HEAD
        + "Dec 30\n\n"
        + paper("Hands One")
        + paper("Hands Two", "  • 1 author\n·\nMay 13")
        + paper("Hands Three", "  • 1,204 authors\n·\nAug 11 3")
        + paper("No Foot at All", "")
        + paper("Are Fingers Hard?", "  • 3 authors\n·\nDec 22, 2023</page>").strip()
    )
    assert facts(text) == [
        ("Hands One", 4, "2024-08-14", 2),
        ("Hands Two", 1, "2025-05-13", None),
        ("Hands Three", 1204, "2025-08-11", 3),
        ("No Foot at All", None, None, None),
        ("Are Fingers Hard?", 3, "2023-12-22", None),
    ]
    assert {entry.abstract for entry in entries(text)} == {LONG.strip()}
    assert {entry.arxiv_id for entry in entries(text)} == {None}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace("  • ", "●\t"),
        lambda text: text.replace("  • ", "- "),
        lambda text: text.replace("  • ", "* "),
        lambda text: text.replace("  • ", ""),
        lambda text: text.replace("·\n", "•\n"),
        lambda text: text.replace("·\n", ""),
        lambda text: text.replace(" authors\n·\n", " authors · ").replace("2024 2", "2024 · 2"),
        lambda text: text.replace("2024 2", "2024\n2"),
        lambda text: text.replace("Aug 14", "August 14").replace("May 13", "may 13"),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("\n\n", "\n\n\n \n"),
        lambda text: text.replace("Hands", "• Hands"),
        lambda text: text.replace("Daily Papers\n", ""),
        lambda text: text.strip(),
        lambda text: "\ufeff" + text,
        lambda text: text + "Previous\n\n1\n\n2\n\nNext\n\nCompany\n\n© Hugging Face\n\nTOS\n",
    ],
)
def test_it_matters_little_how_it_was_pasted(change: Any) -> None:
    text = HEAD + "Dec 30\n\n" + paper("Hands One") + paper("Hands Two", "  • 9 authors\n·\nMay 13")
    expected = [("Hands One", 4, "2024-08-14", 2), ("Hands Two", 9, "2025-05-13", None)]
    assert facts(change(text)) == expected
    assert {entry.abstract for entry in entries(change(text))} == {LONG.strip()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings(encoding: str) -> None:
    listing = saved_listing.parse(paper("Doigts “Éclair”").encode(encoding))
    assert [entry.title for entry in listing.entries] == ["Doigts “Éclair”"]


def test_a_page_without_its_head_begins_with_a_paper() -> None:
    assert facts(paper("Hands One")) == [("Hands One", 4, "2024-08-14", 2)]
    assert facts(HEAD + paper("Hands One")) == [("Hands One", 4, "2024-08-14", 2)]


def test_two_pages_in_one_file() -> None:
    page = HEAD + "Dec 30\n\n" + paper("Hands One")
    assert [e.title for e in entries(page + page.replace("One", "Two"))] == [
        "Hands One",
        "Hands Two",
    ]


def test_short_abstracts_and_none() -> None:
    text = (
        paper("First", abstract="We draw.")
        + paper("Second", abstract="no stop")
        + "Third\n• 2 authors"
    )
    assert [(e.title, e.abstract) for e in entries(text)] == [
        ("First", "We draw."),
        ("Second", "no stop"),
        ("Third", None),
    ]


def test_an_abstract_of_several_paragraphs() -> None:
    text = paper("First") + paper("Second", abstract=f"{LONG}\n\n{LONG}\n\nhttps://github.com/a/b")
    assert entries(text)[1].title == "Second"
    assert entries(text)[1].abstract == f"{LONG}{LONG}https://github.com/a/b"


@pytest.mark.parametrize(
    ("head", "dates", "days"),
    [
        # Nothing tells the year.
        ("", ["May 13"], [None]),
        ("Dec 30", ["May 13"], [None]),
        # The head tells it.
        ("Jan 5, 2025", ["Jan 4", "Dec 30"], ["2025-01-04", "2024-12-30"]),
        # The year after the last one written out; nothing lies after the page.
        ("Jan 5", ["Dec 30", "Mar 1, 2024", "Jan 5"], ["2024-12-30", "2024-03-01", "2025-01-05"]),
        ("", ["Dec 30", "Mar 1, 2021"], ["2022-12-30", "2021-03-01"]),
        # No such day.
        ("", ["Feb 30, 2024", "Feb 29, 2023", "Feb 29, 2024"], [None, None, "2024-02-29"]),
    ],
)
def test_years_that_are_left_away(head: str, dates: list[str], days: list[str | None]) -> None:
    text = f"Daily Papers\n\n{head}\n\n" if head else ""
    text += "".join(paper(f"Hands {n}", f"• 2 authors\n·\n{d}") for n, d in enumerate(dates))
    assert [entry.day for entry in entries(text)] == days


def test_an_arxiv_id_in_the_text_tells_the_year() -> None:
    abstract = f"{LONG} It continues arXiv:2502.00001."
    text = paper("Hands", "• 2 authors\n·\nMar 1", abstract)
    assert [entry.day for entry in entries(text)] == ["2025-03-01"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no papers in this file"),
        (b"\n \n", "no papers in this file"),
        (b"%PDF-1.7\n1 0 obj", "this is a PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "this is no text"),
        (b"\x81\x8d\xff", "this is no text"),
        (b'[{"paper": {"id": "2503.00001"}}]', "no papers in this file"),
        (f"A letter\n\n{LONG}\n\nYours".encode(), "no papers in this file"),
        (HEAD.encode() + b"Dec 30\n", "no papers in this file"),
        (b"<html><body>Hello</body></html>", "no Daily Papers on this page"),
    ],
)
def test_another_file_is_named_in_one_line(body: bytes, reason: str) -> None:
    with pytest.raises(SourceChanged, match=reason) as caught:
        saved_listing.parse(body)
    assert "\n" not in str(caught.value)


# HTML


def page(props: dict[str, Any]) -> bytes:
    data = html.escape(json.dumps(props), quote=True)
    return f'<html><div data-target="DailyPapers" data-props="{data}"></div></html>'.encode()


def test_html_carries_the_ids() -> None:
    told = {
        "paper": {
            "id": "2503.00001",
            "title": "Hands",
            "summary": "We draw.",
            "authors": [{"name": "Ada Lin"}, {"name": "Bo Roe"}],
            "publishedAt": "2025-02-26T17:08:18.000Z",
        },
        "numComments": 3,
    }
    listing = saved_listing.parse(page({"searchResults": [told, {"paper": {"id": "x"}}]}))
    assert listing.entries == (Entry("Hands", "We draw.", 2, "2025-02-26", 3, "2503.00001"),)
    assert [lost.reason for lost in listing.rejected] == ["not an arXiv id: x"]


# whatever comes

VALID = [
    (
        HEAD + "Dec 30\n\n" + paper("Hands One") + paper("Hands Two", "• 2 authors\n·\nMay 1")
    ).encode(),
    page(
        {"dailyPapers": [{"paper": {"id": "2503.00001", "title": "Hands"}}], "dateString": "2025"}
    ),
]
LINES = st.sampled_from(["", "·", "• 4 authors", "May 13", "Feb 30, 2024 2", "7", "Title", LONG])


@given(st.binary() | st.lists(LINES).map(lambda lines: "\n".join(lines).encode()))
def test_arbitrary_bytes_raise_only_our_errors(body: bytes) -> None:
    _only_our_errors(body)


@given(st.sampled_from(VALID), st.integers(0), st.integers(0, 40), st.binary(max_size=8))
def test_mutated_files_raise_only_our_errors(body: bytes, at: int, cut: int, put: bytes) -> None:
    at %= len(body)
    _only_our_errors(body[:at] + put + body[at + cut :])


def _only_our_errors(body: bytes) -> None:
    try:
        listing = saved_listing.parse(body)
    except PaperfeedError:
        return
    assert all(entry.title for entry in listing.entries)
    json.dumps([entry.title for entry in listing.entries], ensure_ascii=False).encode()


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Z][a-z]{2,9}( [A-Za-z]{2,9}){1,6}\??", fullmatch=True),
            st.integers(1, 3000),
            st.dates(),
            st.none() | st.integers(0, 999),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_out_is_read_back(papers: list[Any]) -> None:
    papers = [p for p in papers if 1900 <= p[2].year < 2100 and not _is_date(p[0])]
    text = HEAD + "Dec 30\n\n"
    for title, authors, day, comments in papers:
        date = f"{day:%b} {day.day}, {day.year}"
        foot = f"  • {authors} authors\n·\n{date}{f' {comments}' if comments is not None else ''}"
        text += paper(title, foot)
    expected = [(title, authors, str(day), comments) for title, authors, day, comments in papers]
    if papers:
        assert facts(text) == expected


def _is_date(title: str) -> bool:
    return re.match(r"(?i)(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", title) is not None


# what was really saved


def test_the_real_page_has_fifty_papers(shared: Path) -> None:
    body = (shared / "captures/daily_papers_listing.txt").read_bytes()
    listing = saved_listing.parse(body)
    assert len(listing.entries) == 50
    without = [entry.title for entry in listing.entries if entry.author_count is None]
    assert without == [
        "Learning Human-Perceived Fakeness in AI-Generated Videos via Multimodal LLMs"
    ]
    assert [entry.title for entry in listing.entries if entry.day is None] == without
    assert sum(entry.comments or 0 for entry in listing.entries) == _comments_counted(body)
    # Every long paragraph of the file is the abstract of one entry, in the file's order.
    paragraphs = [line for line in body.decode().split("\n") if len(line) > 1000]
    assert [entry.abstract for entry in listing.entries] == [
        " ".join(p.split()) for p in paragraphs
    ]


def _comments_counted(body: bytes) -> int:
    dates = re.findall(rb"\xc2\xb7\n[A-Z][a-z]{2} \d+(?:, \d{4})?( \d+)?\n", body)
    return sum(int(count or 0) for count in dates)


def test_the_real_page_agrees_with_the_ids_known(shared: Path) -> None:
    listing = saved_listing.parse((shared / "captures/daily_papers_listing.txt").read_bytes())
    rows = (shared / "captures/daily_papers_listing_ids.tsv").read_text().splitlines()[1:]
    titles = {title_key(title): arxiv_id for arxiv_id, title in (row.split("\t") for row in rows)}
    assert [title_key(entry.title) for entry in listing.entries] == list(titles)
    known = {key: arxiv_id for key, arxiv_id in titles.items() if arxiv_id}
    assert (len(known), len(titles)) == (30, 50)
    for entry in listing.entries:
        arxiv_id = known.get(title_key(entry.title))
        if arxiv_id and entry.day:
            # An id is given at the announcement, a few days after the paper's own date.
            months = [
                int(y) * 12 + int(m)
                for y, m in ((arxiv_id[:2], arxiv_id[2:4]), (entry.day[2:4], entry.day[5:7]))
            ]
            assert months[0] - months[1] in (0, 1), entry.title


def test_every_github_address_of_the_real_page_is_resolved(shared: Path) -> None:
    body = (shared / "captures/daily_papers_listing.txt").read_bytes()
    found = [
        repo.name
        for entry in saved_listing.parse(body).entries
        for repo in find_repos(entry.abstract or "", "abstract", entry.title)
    ]
    written = re.findall(r"github\.com/([\w.-]+/[\w.-]*[\w-])", body.decode())
    assert len(found) == len(written) > 10
    assert found == written
