"""The arXiv API: what its feeds say, and what is asked of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadInput, PaperfeedError, SourceChanged
from ingest.http import Client
from ingest.paper import Observation
from ingest.sources import arxiv_api
from ingest.upstreams import Upstreams

SEEN = "2025-03-03T05:00:00.000000Z"
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom"'
    ' xmlns:arxiv="http://arxiv.org/schemas/atom"'
    ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><id>x</id><title>q</title>'
    "<opensearch:totalResults>700</opensearch:totalResults>"
)


def entry(
    told: str = "http://arxiv.org/abs/2503.00001v3",
    title: str = "Drawing\n  hands",
    summary: str = "  Fingers are\nhard.",
    published: str = "2025-02-27T18:00:01Z",
    updated: str = "2025-03-01T09:30:00Z",
    more: str = "",
) -> str:
    return (
        f"<entry><id>{told}</id><title>{escape(title)}</title><updated>{updated}</updated>"
        f"<summary>{escape(summary)}</summary><published>{published}</published>{more}</entry>"
    )


def feed(*entries: str) -> bytes:
    return (HEAD + "".join(entries) + "</feed>").encode()


def one(xml: str) -> Observation:
    read = arxiv_api.parse(feed(xml), SEEN)
    assert (len(read.observations), read.rejected) == (1, ())
    return read.observations[0]


# reading


def test_every_field_of_an_entry() -> None:
    more = (
        '<category term="cs.AI"/><category term="cs.CV"/><category term="cs.AI"/>'
        '<arxiv:primary_category term="cs.CV"/><arxiv:comment>9 pages,\n 3 figures</arxiv:comment>'
        "<arxiv:journal_ref>J. Hands 4</arxiv:journal_ref><arxiv:doi>10.1/abc</arxiv:doi>"
        "<author><name>Ada  Lin</name><arxiv:affiliation>Lab</arxiv:affiliation></author>"
        "<author><name>Bo Roe</name></author><author><name> </name></author>"
    )
    assert one(entry(more=more)) == Observation(
        source="arxiv_api",
        arxiv_id="2503.00001",
        seen_at=SEEN,
        version=3,
        title="Drawing hands",
        abstract="Fingers are hard.",
        authors=("Ada Lin", "Bo Roe"),
        categories=("cs.CV", "cs.AI"),
        published="2025-02-27T18:00:01Z",
        updated="2025-03-01T09:30:00Z",
        comment="9 pages, 3 figures",
        journal_ref="J. Hands 4",
        doi="10.1/abc",
        withdrawn=False,
    )


def test_what_is_not_said_is_none() -> None:
    said = one(entry(told="http://arxiv.org/abs/hep-th/9901001v1", summary=" "))
    assert (said.arxiv_id, said.version) == ("hep-th/9901001", 1)
    assert (said.abstract, said.comment, said.journal_ref, said.doi) == (None,) * 4
    assert (said.authors, said.categories) == ((), ())


def test_other_time_zones_become_utc() -> None:
    assert one(entry(published="2025-02-27T18:00:01-05:00")).published == "2025-02-27T23:00:01Z"


@pytest.mark.parametrize(
    ("bad", "reason", "arxiv_id"),
    [
        ("<entry/>", "not an arXiv id: ", None),
        (
            entry(told="http://arxiv.org/abs/9999"),
            "not an arXiv id: http://arxiv.org/abs/9999",
            None,
        ),
        (entry(title=" \n"), "no title", "2503.00001"),
        (entry(published=""), "published or updated is missing or no date", "2503.00001"),
        (entry(updated="soon"), "published or updated is missing or no date", "2503.00001"),
        (
            entry(published="0001-01-01T00:00:00+14:00"),
            "published or updated is missing or no date",
            "2503.00001",
        ),
    ],
)
def test_a_bad_entry_is_rejected_and_harms_no_neighbour(
    bad: str, reason: str, arxiv_id: str | None
) -> None:
    good = [entry(told=f"http://arxiv.org/abs/2503.0000{n}v1") for n in (7, 8)]
    read = arxiv_api.parse(feed(good[0], bad, good[1]), SEEN)
    assert [said.arxiv_id for said in read.observations] == ["2503.00007", "2503.00008"]
    (lost,) = read.rejected
    assert (lost.reason, lost.arxiv_id) == (reason, arxiv_id)
    assert lost.payload.startswith("<entry")


def test_an_unknown_id_is_an_empty_feed() -> None:
    assert arxiv_api.parse(feed(), SEEN) == ((), ())


@pytest.mark.parametrize(
    ("comment", "withdrawn"),
    [
        ("This paper has been withdrawn", True),
        ("12 pages. This paper has been withdrawn by the author due to an error", True),
        ("Withdrawn", True),
        ("Withdrawn by arXiv administrators", True),
        ("Paper withdrawn: Lemma 3 is wrong", True),
        ("This manuscript is being withdrawn pending review", True),
        ("We have withdrawn this manuscript", True),
        ("This submission has been temporarily withdrawn", True),
        ("arXiv admin note: This paper has been withdrawn by arXiv", True),
        ("Withdrawn from the NeurIPS workshop, now at ICLR", False),
        ("This paper was withdrawn from ICLR 2024 and resubmitted", False),
        ("Accepted at a workshop, later withdrawn for lack of funds", False),
        ("Replaces our earlier note, which was withdrawn", False),
        ("A previous version of this paper was withdrawn", False),
        ("12 pages, on withdrawn submissions", False),
        ("Withdrawn submissions are in the appendix", False),
    ],
)
def test_withdrawn_is_read_from_the_comment(comment: str, withdrawn: bool) -> None:
    more = f"<arxiv:comment>{comment}</arxiv:comment>"
    assert one(entry(more=more)).withdrawn is withdrawn


@pytest.mark.parametrize(
    ("abstract", "withdrawn"),
    [
        ("This paper has been withdrawn by the author(s), see the newer one.", True),
        ("This submission was withdrawn.", True),
        ("Withdrawn by the authors.", True),
        ("We study papers withdrawn by authors. This paper has been withdrawn often.", False),
        ("When a plate is withdrawn from a bath, a film remains.", False),
        ("Withdrawn articles go on being cited.", False),
    ],
)
def test_an_abstract_about_withdrawals_is_no_withdrawal(abstract: str, withdrawn: bool) -> None:
    assert one(entry(summary=abstract)).withdrawn is withdrawn


ERROR = (
    "<entry><id>https://arxiv.org/api/errors#incorrect_id_format_for_abc</id><title>Error</title>"
    "<updated>2025-03-03T00:00:00Z</updated><summary>incorrect id format for abc</summary></entry>"
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (feed(ERROR), "the arXiv API says: incorrect id format for abc"),
        (feed(entry(), ERROR), "the arXiv API says"),
        (b"", "0 bytes of no XML"),
        (b"Rate exceeded.", "14 bytes of no XML"),
        (feed(entry())[:-20], "half of one"),
        (b"<!doctype html><html><p>Sorry<br></html>", "a page of HTML came"),
        (b"<html><body>Sorry</body></html>", "<html> came"),
        (b"<rss><channel/></rss>", "<rss> came"),
        (b"<feed><entry/></feed>", "<feed> came"),
        (b'<?xml version="1.0" encoding="klingon"?><feed/>', "bytes of no XML"),
    ],
)
def test_what_is_no_feed_of_papers_is_named(body: bytes, reason: str) -> None:
    with pytest.raises(SourceChanged, match=re.escape(reason)):
        arxiv_api.parse(body, SEEN)


def test_a_paper_called_error_is_a_paper() -> None:
    assert one(entry(title="Error")).title == "Error"


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    body = feed(entry(title="Hands")).replace(b"?><feed", b"?>" + bomb + b"<feed")
    read = arxiv_api.parse(body.replace(b"Hands", b"Hands &b;"), SEEN)
    assert [said.title for said in read.observations] == ["Hands"]


VALID = feed(entry(more='<category term="cs.AI"/>'), entry(told="http://arxiv.org/abs/2503.00002"))


@given(st.binary() | st.text().map(lambda text: feed(entry(title=text))))
def test_arbitrary_bytes_raise_only_our_errors(body: bytes) -> None:
    _only_our_errors(body)


@given(
    st.integers(0), st.integers(0, 40), st.binary(max_size=8) | st.sampled_from([b"", b"9", b">"])
)
def test_mutated_feeds_raise_only_our_errors(at: int, cut: int, put: bytes) -> None:
    at %= len(VALID)
    _only_our_errors(VALID[:at] + put + VALID[at + cut :])


def _only_our_errors(body: bytes) -> None:
    try:
        read = arxiv_api.parse(body, SEEN)
    except PaperfeedError:
        return
    for said in read.observations:
        assert Observation.from_json(said.to_json()) == said


# asking, over a real loopback server


class _Service(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    status: ClassVar[int] = 200
    body: ClassVar[bytes] = VALID

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[tuple[type[_Service], Upstreams]]:
    handler = type("Handler", (_Service,), {"asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/arxiv"
        yield handler, Upstreams(arxiv_api=base)
        server.shutdown()


def _query(path: str) -> dict[str, str]:
    return {name: said[0] for name, said in parse_qs(urlsplit(path).query).items()}


def test_ids_are_asked_in_one_request_for_their_newest_versions(
    service: tuple[type[_Service], Upstreams], tmp_path: Path
) -> None:
    handler, upstreams = service
    wanted = ["2503.00001v1", "hep-th/9901001", *(f"2503.{n:05}" for n in range(2, 100))]
    response = arxiv_api.fetch_ids(Client(tmp_path), upstreams, wanted)
    (path,) = handler.asked
    assert path.startswith("/arxiv/api/query?")
    assert _query(path)["id_list"].split(",") == ["2503.00001", *wanted[1:]]
    assert (_query(path)["start"], _query(path)["max_results"]) == ("0", "100")
    assert response.body == VALID
    assert len(arxiv_api.parse(response.body, SEEN).observations) == 2


def test_the_service_own_refusal_is_an_answer(
    service: tuple[type[_Service], Upstreams], tmp_path: Path
) -> None:
    handler, upstreams = service
    handler.status, handler.body = 400, feed(ERROR)
    response = arxiv_api.fetch_ids(Client(tmp_path), upstreams, ["2503.00001"])
    assert (response.status, len(handler.asked)) == (400, 1)
    with pytest.raises(SourceChanged, match="incorrect id format for abc"):
        arxiv_api.parse(response.body, SEEN)


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Drawing Hands", 'ti:"drawing hands"'),
        ('"Quoted": A AND B OR (C) ANDNOT D', 'ti:"quoted a and b or c andnot d"'),
        ("Chain-of-Thought’s end\n — part [2]: x*y?", 'ti:"chain-of-thought’s end part 2 x y"'),
        ("α-Éclair\u200b", 'ti:"α-éclair"'),
    ],
)
def test_a_title_is_asked_as_one_phrase_without_operators(
    title: str, query: str, service: tuple[type[_Service], Upstreams], tmp_path: Path
) -> None:
    handler, upstreams = service
    arxiv_api.fetch_title(Client(tmp_path), upstreams, title)
    (path,) = handler.asked
    assert (_query(path)["search_query"], _query(path)["max_results"]) == (query, "10")
    assert "id_list" not in _query(path)


@pytest.mark.parametrize("wrong", [[], ["2503.00001"] * 101, ["2503.00001", "abc"], ["9913.00001"]])
def test_wrong_ids_are_not_asked(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        arxiv_api.fetch_ids(Client(tmp_path), Upstreams(arxiv_api="http://127.0.0.1:1"), wrong)


@pytest.mark.parametrize("title", ["", " \n", '"?!"'])
def test_a_title_without_words_is_not_asked(title: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no words"):
        arxiv_api.fetch_title(Client(tmp_path), Upstreams(arxiv_api="http://127.0.0.1:1"), title)


# what was really received


def _bodies(shared: Path) -> Iterator[tuple[str, int, bytes]]:
    for path in sorted((shared / "captures/arxiv_api").iterdir()):
        if path.suffix == ".json":
            told = json.loads(path.read_bytes())
            # They were recorded as text read in the wrong encoding: this gives the bytes back.
            yield path.name, told["status_code"], told["body"].encode("latin-1")
        else:
            yield path.name, 200, path.read_bytes()


def test_recorded_feeds_say_what_a_second_reader_reads(shared: Path) -> None:
    files = entries = 0
    for name, status, body in _bodies(shared):
        files += 1
        if status == 400:
            with pytest.raises(SourceChanged, match="incorrect id format for abc"):
                arxiv_api.parse(body, SEEN)
            continue
        read = arxiv_api.parse(body, SEEN)
        told = feedparser.parse(body, sanitize_html=False).entries
        assert (len(read.observations), read.rejected) == (len(told), ()), name
        entries += len(told)
        for said, raw in zip(read.observations, told, strict=True):
            _agree(said, raw)
    assert (files, entries) == (22, 246)


def _agree(said: Observation, raw: Any) -> None:
    """The same entry as feedparser reads it."""

    def line(name: str) -> str | None:
        return " ".join(raw.get(name, "").split()) or None

    assert raw.id == f"http://arxiv.org/abs/{said.arxiv_id}v{said.version}"
    assert (said.title, said.abstract) == (line("title"), line("summary"))
    assert (said.published, said.updated) == (raw.published, raw.updated)
    assert (said.comment, said.doi) == (line("arxiv_comment"), line("arxiv_doi"))
    assert said.journal_ref == line("arxiv_journal_ref")
    assert list(said.authors) == [author.name for author in raw.authors]
    assert said.categories[0] == raw.arxiv_primary_category["term"]
    assert set(said.categories) == {tag.term for tag in raw.tags}
    assert said.withdrawn is ("has been withdrawn" in f"{raw.get('arxiv_comment')}{raw.summary}")
