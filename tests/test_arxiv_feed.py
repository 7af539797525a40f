"""arXiv's feeds: what they say, in their three forms, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree, html

from data.sample.replay import Fault, Replay
from ingest.errors import PaperfeedError, RateLimited, SourceChanged
from ingest.http import Client
from ingest.paper import Observation
from ingest.sources import arxiv_feed
from ingest.upstreams import Upstreams

SEEN = "2026-04-27T05:00:00.000000Z"
SPACES = 'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/"'
MIDNIGHT = "Mon, 27 Apr 2026 00:00:00 -0400"
CAPTURES = (
    *("atom_cs.AI_2025-08-20", "rdf_hep-ex_2018-05-23"),
    *("rss_cs.AI_2026-04-27", "rss_cs.CL_2026-04-27", "rss_cs.LG_2026-04-27"),
)


def item(
    named: str = "2604.00001v2",
    title: str = "Drawing hands",
    abstract: str = "Fingers are hard.",
    kind: str = "new",
    more: str = "",
    link: str | None = None,
) -> str:
    base = re.sub(r"v\d+$", "", named)
    described = escape(f"arXiv:{named} Announce Type: {kind} \nAbstract: {abstract}")
    address = link or f"https://arxiv.org/abs/{base}"
    return (
        f"<item><title>{escape(title)}</title><link>{address}</link>"
        f"<description>{described}</description>"
        f'<guid isPermaLink="false">oai:arXiv.org:{named}</guid>'
        f"<pubDate>{MIDNIGHT}</pubDate>{more}</item>"
    )


def rss(*items: str, title: str = "cs.CL updates on arXiv.org", about: str = "") -> bytes:
    head = f"<title>{title}</title><description>{about}</description><pubDate>{MIDNIGHT}</pubDate>"
    return f'<rss {SPACES} version="2.0"><channel>{head}{"".join(items)}</channel></rss>'.encode()


def one(xml: str) -> Observation:
    read = arxiv_feed.parse(rss(xml), SEEN)
    assert (len(read.observations), read.rejected) == (1, ())
    return read.observations[0]


# reading


def test_every_field_of_an_item() -> None:
    more = (
        "<category>cs.CL</category><category>cs.AI</category><category>cs.CL</category>"
        "<arxiv:announce_type>new</arxiv:announce_type>"
        "<dc:rights>http://creativecommons.org/licenses/by/4.0/</dc:rights>"
        "<arxiv:DOI>10.1/abc</arxiv:DOI>"
        "<arxiv:journal_reference>J. Hands 4</arxiv:journal_reference>"
        "<dc:creator>Ada Lin (Univ. of X, Y), Bo  Roe,  Deepti, Andr\\'e M\\\"uller</dc:creator>"
    )
    assert one(item(title="Drawing\n  hands", more=more)) == Observation(
        source="arxiv_feed",
        arxiv_id="2604.00001",
        seen_at=SEEN,
        version=2,
        title="Drawing hands",
        abstract="Fingers are hard.",
        authors=("Ada Lin", "Bo Roe", "Deepti", "André Müller"),
        categories=("cs.CL", "cs.AI"),
        journal_ref="J. Hands 4",
        doi="10.1/abc",
        license="http://creativecommons.org/licenses/by/4.0/",
    )


def test_less_than_signs_and_tags_are_text() -> None:
    read = one(item(title="If $a<b$ & <i>c</i>", abstract="We use <think> and &amp; $x < y > z$."))
    assert read.title == "If $a<b$ & <i>c</i>"
    assert read.abstract == "We use <think> and &amp; $x < y > z$."


def test_accents_without_a_declared_encoding() -> None:
    assert one(item(title="Über naïve Café")).title == "Über naïve Café"


def test_an_item_with_less_than_usual_is_kept() -> None:
    bare = "<item><title>T</title><link>https://arxiv.org/abs/hep-th/9901001</link></item>"
    read = one(bare)
    assert (read.arxiv_id, read.version, read.title) == ("hep-th/9901001", None, "T")
    assert (read.abstract, read.authors, read.categories) == (None, (), ())


def test_an_atom_feed_says_the_same() -> None:
    body = (
        f'<feed {SPACES} xmlns="http://www.w3.org/2005/Atom"><title>x</title>'
        "<updated>2026-04-27T04:00:19.9+00:00</updated>"
        "<entry><id>oai:arXiv.org:2604.00001v2</id><title>Drawing hands</title>"
        '<link href="https://arxiv.org/abs/2604.00001" rel="alternate" type="text/html"/>'
        "<summary>arXiv:2604.00001v2 Announce Type: replace-cross \nAbstract: Fingers.</summary>"
        '<category term="cs.AI"/><category term="cs.CL"/>'
        "<published>2026-04-27T00:00:00-04:00</published>"
        "<arxiv:announce_type>replace-cross</arxiv:announce_type>"
        "<dc:creator>Ada Lin, Bo Roe</dc:creator></entry></feed>"
    ).encode()
    assert arxiv_feed.parse(body, SEEN).observations == (
        Observation(
            source="arxiv_feed",
            arxiv_id="2604.00001",
            seen_at=SEEN,
            version=2,
            title="Drawing hands",
            abstract="Fingers.",
            authors=("Ada Lin", "Bo Roe"),
            categories=("cs.AI", "cs.CL"),
        ),
    )
    assert arxiv_feed.announce_types(body) == {"2604.00001": "replace-cross"}
    assert arxiv_feed.batch_day(body) == "2026-04-27"


def rdf(title: str, creator: str = "", about: str = "") -> bytes:
    return (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        '<channel rdf:about="http://arxiv.org/"><title>hep-ex</title>'
        "<dc:date>2018-05-23T20:30:00-05:00</dc:date></channel>"
        f'<item rdf:about="http://arxiv.org/abs/1805.08875"><title>{escape(title)}</title>'
        "<link>http://arxiv.org/abs/1805.08875</link>"
        f"<description>{escape(about)}</description><dc:creator>{escape(creator)}</dc:creator></item>"
        "</rdf:RDF>"
    ).encode()


@pytest.mark.parametrize(
    ("mark", "kind"), [("", "new"), (" CROSS LISTED", "cross"), (" UPDATED", "replace")]
)
def test_the_rdf_of_old_has_it_all_in_the_title(mark, kind) -> None:
    names = '<a href="http://arxiv.org/find/1">Ada Lin</a> (STAR, CERN), <a href="/2">Bo Roe</a>'
    body = rdf(
        f"Of hands (and feet). (arXiv:1805.08875v3 [hep-ex]{mark})",
        names,
        "<p>If $2<3$ &amp; $a&lt;b$\n</p>",
    )
    (read,) = arxiv_feed.parse(body, SEEN).observations
    assert (read.arxiv_id, read.version) == ("1805.08875", 3)
    assert read.title == "Of hands (and feet)"
    assert read.abstract == "If $2<3$ & $a<b$"
    assert read.authors == ("Ada Lin", "Bo Roe")
    assert read.categories == ("hep-ex",)
    assert arxiv_feed.announce_types(body) == {"1805.08875": kind}


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("Mon, 27 Apr 2026 00:00:00 -0400", "2026-04-27"),
        ("Mon, 27 Apr 2026 04:00:00 +0000", "2026-04-27"),
        ("Fri, 06 Mar 2026 00:00:00 -0500", "2026-03-06"),  # winter time
        ("Mon, 09 Mar 2026 04:00:00 +0000", "2026-03-09"),  # summer time
        ("Mon, 02 Nov 2026 05:00:00 +0000", "2026-11-02"),  # winter time
    ],
)
def test_the_batch_is_that_of_its_items_date(moment, day) -> None:
    assert arxiv_feed.batch_day(rss(item()).replace(MIDNIGHT.encode(), moment.encode())) == day


def test_an_empty_feed_has_the_date_of_its_channel_or_none() -> None:
    assert arxiv_feed.batch_day(rss()) == "2026-04-27"
    assert arxiv_feed.batch_day(rss().replace(MIDNIGHT.encode(), b"some day")) is None
    assert arxiv_feed.parse(rss(), SEEN) == ((), ())


def test_an_evening_feed_of_old_belongs_to_the_next_days_listing() -> None:
    assert arxiv_feed.batch_day(rdf("T (arXiv:1805.08875v1 [hep-ex])")) == "2018-05-24"


# what is refused


@pytest.mark.parametrize(
    ("xml", "reason", "arxiv_id"),
    [
        (item(named="1501.00000v1"), "not an arXiv id", None),
        (item(title=" "), "no title", "2604.00001"),
        (item(link="https://arxiv.org/abs/2604.00002"), "2604.00001 and 2604.00002", None),
    ],
)
def test_an_item_that_cannot_be_read_harms_no_neighbour(xml, reason, arxiv_id) -> None:
    read = arxiv_feed.parse(rss(item(named="2604.00007v1"), xml), SEEN)
    assert [o.arxiv_id for o in read.observations] == ["2604.00007"]
    (rejected,) = read.rejected
    assert reason in rejected.reason
    assert rejected.arxiv_id == arxiv_id
    assert "Announce Type" in rejected.payload


ENTITIES = b'<!DOCTYPE rss [<!ENTITY x "y">]>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no XML"),
        (b"/etc/hostname", "no XML"),
        (b"https://rss.arxiv.org/rss/cs.CL", "no XML"),
        (b"<!DOCTYPE html><html><body>busy</body></html>", "html"),
        (b"<html><body>busy<br></body></html>", "a page of HTML"),
        (rss(item(), item())[:-40], "half of one"),
        (b"<note>rss</note>", "<note> came"),
        (ENTITIES + rss(item(title="&x;")), "<rss> came"),
        (rss(title="Feed error for query: cs.XX", about="no such category"), "no such category"),
        (rss(title="Feed error for query: cs.XX"), "Feed error for query: cs.XX"),
    ],
)
@pytest.mark.parametrize(
    "read", [lambda b: arxiv_feed.parse(b, SEEN), arxiv_feed.batch_day, arxiv_feed.announce_types]
)
def test_what_is_no_feed_or_an_error(read, body, reason) -> None:
    with pytest.raises(SourceChanged, match=reason):
        read(body)


# recorded feeds, read a second time


def second_reading(body: bytes) -> list[tuple[str, int, str, str, tuple[str, ...]]]:
    """Id, version, title, abstract, categories of each item, with lxml and regexes alone."""
    root = etree.fromstring(body)
    return [of_item(e) for tag in ("item", "entry") for e in root.iterfind(f".//{{*}}{tag}")]


def of_item(element) -> tuple[str, int, str, str, tuple[str, ...]]:
    def text(*names: str) -> str:
        return " ".join(next(filter(None, (element.findtext(f"{{*}}{n}") for n in names))).split())

    title, about = text("title"), text("description", "summary")
    terms = tuple(e.get("term") or e.text for e in element.iterfind("{*}category"))
    named = re.search(r"arXiv:(\d{4}\.\d{5})v(\d+)", f"{about} {title}")
    if old := re.search(r"\.? \(arXiv:\S+ \[(\S+)\].*\)$", title):
        title, terms = title[: old.start()], (old[1],)
        about = " ".join(html.fromstring(about).text_content().split())
    about = about.partition("Abstract: ")[2] or about
    return named[1], int(named[2]), title, about, terms


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_feeds_agree_with_a_second_reading(shared, name) -> None:
    body = (shared / "captures" / "arxiv_feeds" / f"{name}.xml").read_bytes()
    read = arxiv_feed.parse(body, SEEN)
    assert read.rejected == ()
    assert [
        (o.arxiv_id, o.version, o.title, o.abstract, o.categories) for o in read.observations
    ] == second_reading(body)
    assert len(read.observations) == len(re.findall(rb"<(?:item|entry)[ >]", body)) > 2
    assert arxiv_feed.announce_types(body).keys() == {o.arxiv_id for o in read.observations}


@pytest.mark.parametrize(
    ("name", "day", "kinds"),
    [
        ("atom_cs.AI_2025-08-20", "2025-08-20", ["cross"] * 5 + ["new"] * 2),
        ("rdf_hep-ex_2018-05-23", "2018-05-24", ["new", "cross", "replace"]),
        ("rss_cs.CL_2026-04-27", "2026-04-27", ["new"] * 3),
    ],
)
def test_recorded_batches(shared, name, day, kinds) -> None:
    body = (shared / "captures" / "arxiv_feeds" / f"{name}.xml").read_bytes()
    assert arxiv_feed.batch_day(body) == day
    assert list(arxiv_feed.announce_types(body).values()) == kinds


def test_recorded_names(shared) -> None:
    folder = shared / "captures" / "arxiv_feeds"
    by_id = {
        o.arxiv_id: o.authors
        for name in CAPTURES
        for o in arxiv_feed.parse((folder / f"{name}.xml").read_bytes(), SEEN).observations
    }
    assert by_id["1805.08875"] == ("Christopher Dilks",)
    assert by_id["2508.13429"] == ("Paulo André Lima de Castro",)
    assert by_id["2604.22002"] == (
        *("Anamta Khan", "Ratna Kandala", "Deepti", "Sheza Munir", "Joyojeet Pal"),
    )
    assert len(by_id["2604.21936"]) == 18


# asking


def test_categories_are_asked_for_together(tmp_path: Path) -> None:
    with Replay(tmp_path) as replay:
        upstreams = Upstreams.from_env(replay.env)
        client = Client.of(upstreams, tmp_path / "locks", sleep=lambda _: None)
        good = arxiv_feed.fetch(client, upstreams, ["cs.CL", "cs.AI"])
        bad = arxiv_feed.fetch(client, upstreams, ["cs.CL", "nothing!"])
        replay.misbehave("arxiv_feed", Fault.status(429))
        with pytest.raises(RateLimited):
            arxiv_feed.fetch(client, upstreams, ["cs.CL"])
    assert arxiv_feed.parse(good.body, SEEN) == ((), ())
    assert replay.requests[0].path == "/rss/rss/cs.CL+cs.AI"
    with pytest.raises(SourceChanged, match="nothing! is not a category"):
        arxiv_feed.parse(bad.body, SEEN)


# whatever comes

GOOD = rss(item(more="<dc:creator>A B (C, D), E</dc:creator><category>cs.CL</category>"), item())
TAGS = ("title", "link", "guid", "description", "pubDate", "dc:creator", "category", "author", "x")
fragments = st.builds(
    lambda tag, text: f"<{tag}>{escape(text)}</{tag}>".encode(),
    st.sampled_from(TAGS),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30),
)
edits = st.lists(
    st.tuples(st.integers(0, len(GOOD)), st.integers(0, 20), st.binary(max_size=6) | fragments),
    max_size=4,
)


def only_our_errors(body: bytes) -> None:
    try:
        read = arxiv_feed.parse(body, SEEN)
        arxiv_feed.batch_day(body)
        arxiv_feed.announce_types(body)
    except PaperfeedError:
        return
    for observation in read.observations:
        observation.to_json()
    for rejected in read.rejected:
        rejected.payload.encode()


@given(st.binary(max_size=300))
def test_arbitrary_bytes(body) -> None:
    only_our_errors(body)


@given(edits)
def test_mutated_feeds(changes) -> None:
    body = GOOD
    for at, length, fresh in changes:
        body = body[:at] + fresh + body[at + length :]
    only_our_errors(body)


@given(st.lists(fragments, max_size=8))
def test_well_formed_items_of_anything_are_all_accounted_for(parts) -> None:
    body = rss(item(), "<item>" + b"".join(parts).decode() + "</item>")
    read = arxiv_feed.parse(body, SEEN)
    assert len(read.observations) + len(read.rejected) == 2
    only_our_errors(body)
