"""arXiv's listing pages: counts that are believed only where they are right, and every field.

There is no recorded page; the pages here have arXiv's structure in our words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from data.sample.replay import Fault, Replay
from data.sample.replay_announcements import catchup_listing, new_listing, page
from ingest.errors import PaperfeedError, RateLimited, SourceChanged, SourceRefused
from ingest.http import Client
from ingest.paper import Observation
from ingest.sources import arxiv_catchup
from ingest.upstreams import Upstreams

DAY, NEXT = "2026-08-12", "2026-08-13"
SEEN = "2026-08-12T05:00:00.000000Z"


def entry(number: int, kind: str = "new", **more: Any) -> dict[str, Any]:
    said = {
        "id": f"2608.{number:05}",
        "version": 1,
        "type": kind,
        "title": f"Paper {number}",
        "authors": ["Ada Lin", "Bo Roe"],
        "comments": "",
        "categories": ["cs.CL", "cs.AI"],
        "abstract": f"On {number}.",
    }
    return {**said, **more}


def listing(*entries: dict[str, Any], later: str | None = None, **more: Any) -> bytes:
    more = {"size": 2000, **more}
    return page(catchup_listing("cs.CL", DAY, entries, later, **more))


def dated(content: str, heading: str = "Catchup results for X on Wed, 12 Aug 2026") -> bytes:
    return page(f"<h1>{heading}</h1>\n{content}")


def section(heading: str, *entries: str) -> str:
    return f"<dl id='articles'><h3>{heading}</h3>{''.join(entries)}</dl>"


def pair(named: str = "2608.00001", dd: str = "<div class='list-title'>T</div>") -> str:
    return f'<dt><a href ="/abs/{named}" title="Abstract">arXiv:{named}</a></dt><dd>{dd}</dd>'


def one(dd: str) -> Observation:
    body = dated(section("New submissions (showing 1 of 1 entries)", pair(dd=dd)))
    (read,) = arxiv_catchup.parse(body, DAY, SEEN).observations
    return read


def read(body: bytes, day: str | None = DAY) -> arxiv_catchup.Page:
    return arxiv_catchup.read(body, day, SEEN)


# entries


def test_every_field_of_an_entry() -> None:
    full = entry(
        1,
        title="If $a<b$ & <i>c</i>",
        comments="9 pages; code: https://github.com/a/b.",
        categories=["cs.AI", "cs.CL", "stat.ML"],
        abstract="Über <think> & more,\nsee https://x.org/y.",
        journal_ref="J. Hands 4",
    )
    (read,) = arxiv_catchup.parse(listing(full), DAY, SEEN).observations
    assert read == Observation(
        source="arxiv_catchup",
        arxiv_id="2608.00001",
        seen_at=SEEN,
        title="If $a<b$ & <i>c</i>",
        abstract="Über <think> & more, see https://x.org/y.",
        authors=("Ada Lin", "Bo Roe"),
        categories=("cs.AI", "cs.CL", "stat.ML"),
        comment="9 pages; code: https://github.com/a/b.",
        journal_ref="J. Hands 4",
    )


def test_the_primary_subject_is_first_wherever_it_stands() -> None:
    dd = (
        "<div class='list-title mathjax'><span class='descriptor'>Title:</span> T</div>"
        "<div class='list-subjects'><span class='descriptor'>Subjects:</span> Strings (hep-th); "
        "<span class='primary-subject'>K-Theory (and more) (math.KT)</span>; Plasma (physics."
        "plasm-ph)</div><div class='list-doi'><span class='descriptor'>DOI:</span> 10.1/x</div>"
    )
    read = one(dd)
    assert read.categories == ("math.KT", "hep-th", "physics.plasm-ph")
    assert read.doi == "10.1/x"
    assert read.abstract is None


def test_line_breaks_and_other_links_in_text() -> None:
    dd = (
        "<div class='list-title'>T</div><p class='mathjax'>One<br>two, as "
        '<a href="https://arxiv.org/abs/2401.00001">arXiv:2401.00001</a> says, at '
        '<a class="link-external" href="http://a.b/c">this http URL</a>.</p>'
    )
    assert one(dd).abstract == "One two, as arXiv:2401.00001 says, at http://a.b/c."


def test_a_withdrawal_is_noticed() -> None:
    gone = entry(1, "replace", comments="This paper has been withdrawn by the author")
    assert arxiv_catchup.parse(listing(gone), DAY, SEEN).observations[0].withdrawn is True


@pytest.mark.parametrize(
    ("names", "kept"), [(100, 100), (101, 0)], ids=["a hundred names", "one that may be cut"]
)
def test_author_lists_that_may_be_cut_are_left_to_others(names, kept) -> None:
    many = entry(1, authors=[f"Author {n}" for n in range(names)])
    assert len(arxiv_catchup.parse(listing(many), DAY, SEEN).observations[0].authors) == kept


def test_a_list_that_says_it_is_cut() -> None:
    names = "<a>A</a>, <a>B</a> et al. (25 additional authors not shown)"
    dd = f"<div class='list-title'>T</div><div class='list-authors'>{names}</div>"
    assert one(dd).authors == ()
    unknown = "<div class='list-authors'>(author list is unavailable)</div>"
    assert one(f"<div class='list-title'>T</div>{unknown}").authors == ()


@pytest.mark.parametrize(
    ("named", "base"),
    [("hep-th/9901001", "hep-th/9901001"), ("2608.00001v2?x=1#y", "2608.00001")],
)
def test_ids_of_all_kinds(named, base) -> None:
    body = dated(section("New submissions (showing 1 of 1 entries)", pair(named)))
    assert read(body).types == {base: "new"}


@pytest.mark.parametrize(
    ("entry", "reason", "arxiv_id"),
    [
        (pair("1501.00000"), "not an arXiv id", None),
        ("<dt>no link at all</dt><dd>x</dd>", "not an arXiv id", None),
        ('<dt><a href="http://[">x</a></dt><dd>x</dd>', "not an arXiv id", None),
        (pair(dd="<div class='list-title'> </div>"), "no title", "2608.00001"),
        ('<dt><a href="/abs/2608.00001">x</a></dt>', "without its description", "2608.00001"),
    ],
)
def test_an_entry_that_cannot_be_read_harms_no_neighbour(entry, reason, arxiv_id) -> None:
    heading = "New submissions (showing 2 of 2 entries)"
    parsed = read(dated(section(heading, entry, pair("2608.00009")))).parsed
    assert [o.arxiv_id for o in parsed.observations] == ["2608.00009"]
    (rejected,) = parsed.rejected
    assert reason in rejected.reason
    assert rejected.arxiv_id == arxiv_id


# sections and counts


ENTRIES = [
    *(entry(n) for n in range(1, 15)),
    *(entry(n, "cross", categories=["cs.AI", "cs.CL"]) for n in range(15, 20)),
    *(entry(n, "replace", version=3) for n in range(20, 27)),
]


def test_the_pages_of_a_day_together_are_the_day() -> None:
    pages = [read(listing(*ENTRIES, number=n, size=10)) for n in (1, 2, 3)]
    assert [len(p.types) for p in pages] == [10, 10, 6]
    assert {p.total for p in pages} == {26}
    together = {i: kind for p in pages for i, kind in p.types.items()}
    assert together == {e["id"]: e["type"] for e in ENTRIES}


def test_the_page_of_the_newest_listing_reads_alike() -> None:
    pages = [read(page(new_listing("cs.CL", DAY, ENTRIES, skip, 20))) for skip in (0, 20)]
    whole = read(listing(*ENTRIES))
    assert {i: k for p in pages for i, k in p.types.items()} == whole.types
    assert sum((p.parsed.observations for p in pages), ()) == whole.parsed.observations
    assert {p.total for p in pages} == {26}


def test_without_abstracts() -> None:
    parsed = read(listing(*ENTRIES, abstracts=False)).parsed
    assert {o.abstract for o in parsed.observations} == {None}
    assert len(parsed.observations) == 26


def test_the_day_after_that_arxiv_names() -> None:
    assert read(listing(*ENTRIES, later=NEXT)).later_day == NEXT
    assert read(listing(*ENTRIES)).later_day is None
    assert read(listing(later=NEXT)).later_day == NEXT
    back = dated(f'<p>No updates for today</p><a href="/catchup/cs/2026-08-11">back</a>{NEXT}')
    assert read(back).later_day is None


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("New submissions (showing 1 of 1 entries)", "new"),
        ("New submissions for Wednesday, 12 August 2026 (showing 1 of 1 entries )", "new"),
        ("Cross submissions (continued, showing last 1 of 119 entries)", "cross"),
        ("Cross-lists (showing first 1 of 1,119 entries)", "cross"),
        ("Replacement submissions (continued, showing 1 of 31 entries)", "replace"),
        ("Replacements (showing 1 of 1 entries)", "replace"),
    ],
)
def test_headings(heading, kind) -> None:
    found = read(dated(section(heading, pair())))
    assert found.types == {"2608.00001": kind}
    assert found.total == int(re.findall(r"[\d,]+ entries", heading)[0].split()[0].replace(",", ""))


@pytest.mark.parametrize(
    ("heading", "day"),
    [
        ("Showing new listings for Wednesday, 12 August 2026", DAY),
        ("Showing new listings for Monday, 1 June 2026", "2026-06-01"),
        ("Catchup results for Computation and Language on Wed, 12 Aug 2026", DAY),
        ("Catchup results for Physics on and on on Mon, 02 Nov 2026", "2026-11-02"),
    ],
)
def test_days(heading, day) -> None:
    body = dated(section("New submissions (showing 1 of 1 entries)", pair()), heading)
    assert read(body, day).total == 1
    assert read(body, None).total == 1
    with pytest.raises(SourceChanged, match=f"of 2026-08-09 is due, that of {day} came"):
        read(body, "2026-08-09")


@pytest.mark.parametrize(
    "content",
    [
        "<p>No updates today.</p>",
        "<div><p>No updates for Wed, 12 Aug 2026. There was no announcement.</p></div>",
        "<div>Total of 0 entries for Wed, 12 Aug 2026</div>",
    ],
)
def test_a_day_without_entries(content) -> None:
    assert read(dated(content)) == (((), ()), {}, 0, None, "2026-08-12")


def test_an_abstract_may_say_anything() -> None:
    words = "Total of 99 entries. Showing new listings for Monday, 1 June 2026. No updates today."
    assert read(listing(entry(1, abstract=words, title=words))).total == 1


PAIRS = "".join(pair(f"2608.{n:05}") for n in range(1, 41))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "half a page, or none: 0 bytes"),
        (b"{}", "half a page, or none: 2 bytes"),
        (b"</html>", "not a page that can be read"),
        (page("<h1>Scheduled maintenance</h1>"), "no listing's heading"),
        (dated("", "Catchup results for X on Wed, 12 Foo 2026"), "that of 2026-00-12 came"),
        (dated("<p>Nothing to see</p>"), "a listing of some entries is due, none came"),
        (dated("Total of 57 entries"), "a listing of 57 entries is due, none came"),
        (dated(PAIRS), "outside every section"),
        (
            dated(section("New submissions (showing 79 of 79 entries)", PAIRS)),
            "new: showing 79 of 79 but 40 found",
        ),
        (
            dated(section("New submissions (showing 39 of 39 entries)", PAIRS)),
            "new: showing 39 of 39 but 40 found",
        ),
        (
            dated(
                "Total of 39 entries" + section("New submissions (showing 40 of 40 entries)", PAIRS)
            ),
            r"the page counts \[39\] entries, its sections 40",
        ),
        (
            dated(
                "<p>Total of 40 entries</p>"
                + section("New submissions (showing 40 of 40 entries)", PAIRS)
                + "<p>Total of 41 entries</p>"
            ),
            r"the page counts \[40, 41\] entries, its sections 40",
        ),
        (listing(*ENTRIES)[:-400], "half a page"),
    ],
)
def test_what_is_no_listing_or_not_all_of_it(body, reason) -> None:
    with pytest.raises(SourceChanged, match=reason):
        read(body)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_half_a_page_is_refused_wherever_it_ends(share) -> None:
    body = listing(*ENTRIES)
    with pytest.raises(SourceChanged):
        read(body[: int(len(body) * share)])


# a second reading


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=40
).map(lambda text: " ".join(text.replace("://", "").split()))
codes = st.sampled_from(["cs.CL", "cs.AI", "hep-th", "physics.plasm-ph", "math.KT"])
generated = st.builds(
    entry,
    st.integers(1, 99999),
    st.sampled_from(["new", "cross", "replace"]),
    title=texts.filter(bool),
    abstract=texts,
    comments=texts,
    journal_ref=texts,
    authors=st.lists(texts.filter(bool), max_size=4),
    categories=st.lists(codes, min_size=1, max_size=4, unique=True),
)


def by_soup(body: bytes) -> list[dict[str, Any]]:
    """The same fields, with BeautifulSoup and Python's own parser."""
    found, soup = [], BeautifulSoup(body, "html.parser")
    for dt, dd in zip(soup.find_all("dt"), soup.find_all("dd"), strict=True):
        for label in dd.select(".descriptor"):
            label.decompose()

        def text(selector: str, dd=dd) -> str:
            tag = dd.select_one(selector)
            return " ".join(tag.get_text().split()) if tag else ""

        found.append(
            {
                "id": dt.select_one("a[title=Abstract]")["id"],
                "title": text(".list-title"),
                "abstract": text("p.mathjax"),
                "comments": text(".list-comments"),
                "journal_ref": text(".list-journal-ref"),
                "authors": [" ".join(a.get_text().split()) for a in dd.select(".list-authors a")],
                "categories": [
                    part.rpartition("(")[2].strip(" )")
                    for part in text(".list-subjects").split(";")
                ],
            }
        )
    return found


@given(st.lists(generated, min_size=1, max_size=8, unique_by=lambda e: e["id"]))
def test_whatever_is_listed_is_read_as_a_second_reader_reads_it(entries) -> None:
    body = listing(*entries)
    parsed = arxiv_catchup.parse(body, DAY, SEEN)
    second = [e for e in by_soup(body) if tidy(e["title"])]
    assert len(parsed.observations) + len(parsed.rejected) == len(entries)
    assert [
        {
            "id": o.arxiv_id,
            "title": o.title,
            "abstract": o.abstract or "",
            "comments": o.comment or "",
            "journal_ref": o.journal_ref or "",
            "authors": list(o.authors),
            "categories": list(o.categories),
        }
        for o in parsed.observations
    ] == [tidy(e) for e in second]


def tidy(value: Any) -> Any:
    """Text as `ingest.text` has it: NFC, nothing unseen."""
    from ingest.text import one_line

    if isinstance(value, dict):
        return {name: tidy(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [line for one in value if (line := tidy(one))]
    return one_line(value)


# asking


@pytest.fixture
def replay(tmp_path: Path):
    with Replay(tmp_path) as replay:
        yield replay


def asked(replay: Replay, tmp_path: Path) -> tuple[Client, Upstreams]:
    upstreams = Upstreams.from_env(replay.env)
    return Client.of(upstreams, tmp_path / "locks", sleep=lambda _: None), upstreams


def test_what_is_asked_for(replay, tmp_path) -> None:
    at = asked(replay, tmp_path)
    response = arxiv_catchup.fetch(*at, "cs.CL", DAY, 2)
    assert arxiv_catchup.parse(response.body, DAY, SEEN) == ((), ())
    arxiv_catchup.fetch_new(*at, "cs.CL", 2000)
    assert [(r.source, r.path, r.query) for r in replay.requests] == [
        ("arxiv_catchup", f"/web/catchup/cs.CL/{DAY}", {"abs": "True", "page": "2"}),
        ("arxiv_new", "/web/list/cs.CL/new", {"skip": "2000", "show": "2000"}),
    ]


def test_a_wrong_category_or_too_old_a_day_is_refused(replay, tmp_path) -> None:
    folder = tmp_path / "announcements" / "cs.CL"
    folder.mkdir(parents=True)
    (folder / "2026-08-12.json").write_text("[]")
    at = asked(replay, tmp_path)
    for category, day in (("cs.CL!", DAY), ("cs.CL", "2026-05-13"), ("cs.CL", "2026-13-01")):
        with pytest.raises(SourceRefused, match="400"):
            arxiv_catchup.fetch(*at, category, day)
    oldest = arxiv_catchup.fetch(*at, "cs.CL", "2026-05-14")
    assert arxiv_catchup.parse(oldest.body, "2026-05-14", SEEN) == ((), ())


def test_a_429_is_not_asked_again(replay, tmp_path) -> None:
    replay.misbehave("arxiv_catchup", Fault.status(429))
    with pytest.raises(RateLimited):
        arxiv_catchup.fetch(*asked(replay, tmp_path), "cs.CL", DAY)
    assert len(replay.requests) == 1


# whatever comes

GOOD = listing(*ENTRIES[::6], later=NEXT)
PIECES = [
    *(b"<dt>", b"</dd>", b"<dl>", b"<!--", b"-->", b"<svg>", b'<a href="http://[">', b"<?pi ?>"),
    *(b"\xff\xfe", b"\0", b"&#x110000;", b"</html>", b"<br>", b"Total of 12 entries"),
    *(b"<div>" * 300, b"<h3>New submissions (showing 9 of 9 entries)</h3>", b"<p class=mathjax>"),
]
edits = st.lists(
    st.tuples(
        st.integers(0, len(GOOD)),
        st.integers(0, 40),
        st.binary(max_size=6) | st.sampled_from(PIECES),
    ),
    max_size=4,
)


def only_our_errors(body: bytes) -> None:
    try:
        found = read(body, None)
    except PaperfeedError:
        return
    for observation in found.parsed.observations:
        observation.to_json()
    for rejected in found.parsed.rejected:
        rejected.payload.encode()


@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes(body, ended) -> None:
    only_our_errors(body + b"</html>" * ended)


@given(edits)
def test_mutated_pages(changes) -> None:
    body = GOOD
    for at, length, fresh in changes:
        body = body[:at] + fresh + body[at + length :]
    only_our_errors(body)
