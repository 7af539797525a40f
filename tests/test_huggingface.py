"""Hugging Face Daily Papers: what its API and its pages say, and what they may do to us."""

from __future__ import annotations

import html
import json
import re
import tarfile
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import PaperfeedError, SourceChanged
from ingest.http import Response
from ingest.paper import Observation, Parsed
from ingest.sources import huggingface
from ingest.text import one_line, title_key
from ingest.upstreams import Upstreams

BIDI_MARKS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN")
DAY, SEEN = "2025-03-03", "2025-03-03T05:00:00.000000Z"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def entry(number: int = 1, **paper: Any) -> dict[str, Any]:
    return {
        "paper": {
            "id": f"2503.{number:05}",
            "authors": [{"name": "Ada Lin", "hidden": False}, {"name": "Bo Roe", "hidden": True}],
            "publishedAt": "2025-02-26T17:08:18.000Z",
            "title": f"Hands number {number}",
            "summary": "Fingers are\nhard to draw.",
            "upvotes": 7,
            **paper,
        },
        "publishedAt": "2025-02-26T12:08:18.000Z",
        "title": "the outer title",
        "summary": "the outer summary",
        "numComments": 2,
    }


def parsed(*entries: Any) -> Parsed:
    return huggingface.parse_api(json.dumps(entries).encode(), DAY, SEEN)


def one(*entries: Any) -> Observation:
    read = parsed(*entries)
    assert (len(read.observations), read.rejected) == (1, ())
    return read.observations[0]


def page(props: dict[str, Any]) -> bytes:
    data = html.escape(json.dumps(props), quote=True)
    target = (
        f'<div class="contents" data-target="DailyPapers" data-props="{data}"><p>cards</p></div>'
    )
    return f"<!doctype html><html><body><nav></nav>{target}</body></html>".encode()


# one entry


def test_every_field_comes_from_where_it_stands() -> None:
    said = one(
        entry(
            8,
            githubRepo="https://github.com/ada/hands",
            githubRepoAddedBy="user",
            projectPage="https://hands.example/",
            ai_keywords=["hands", "diffusion models"],
            organization={"name": "handlab", "fullname": "The Hand Lab"},
            withdrawnAt="2025-03-02T00:00:00.000Z",
        )
    )
    assert said == Observation(
        source="huggingface",
        arxiv_id="2503.00008",
        seen_at=SEEN,
        listed_on=DAY,
        title="Hands number 8",
        abstract="Fingers are hard to draw.",
        authors=("Ada Lin", "Bo Roe"),
        published="2025-02-26T17:08:18Z",
        withdrawn=True,
        github="https://github.com/ada/hands",
        github_by="user",
        project_page="https://hands.example/",
        upvotes=7,
        keywords=("hands", "diffusion models"),
        organization="The Hand Lab",
    )


def test_what_is_missing_inside_is_taken_from_outside() -> None:
    bare = {"paper": {"id": "2503.00001"}, "title": "Outer", "summary": "Told outside."}
    said = one({**bare, "organization": {"name": "lab"}})
    assert (said.title, said.abstract, said.organization) == ("Outer", "Told outside.", "lab")
    assert (said.published, said.upvotes, said.authors, said.withdrawn) == (None, None, (), None)


@pytest.mark.parametrize("wrong", [None, 3.5, True, [], {}, [[]], {"a": 1}, -1, 10**30, ""])
def test_a_wrong_type_in_an_optional_field_drops_that_field_only(wrong: Any) -> None:
    optional = ("authors", "publishedAt", "githubRepo", "githubRepoAddedBy", "projectPage")
    counted = ("upvotes", "ai_keywords", "organization")
    said = one(entry(1, **dict.fromkeys(optional + counted, wrong)))
    assert said == Observation(
        source="huggingface",
        arxiv_id="2503.00001",
        seen_at=SEEN,
        listed_on=DAY,
        title="Hands number 1",
        abstract="Fingers are hard to draw.",
    )


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("2025-02-26T17:08:18.000Z", "2025-02-26T17:08:18Z"),
        ("2025-02-26T17:08:18+02:00", "2025-02-26T15:08:18Z"),
        ("2025-02-26T17:08:18", "2025-02-26T17:08:18Z"),
        ("2025-13-26T17:08:18Z", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
    ],
)
def test_moments_are_utc_to_the_second(told: str, moment: str | None) -> None:
    assert one(entry(1, publishedAt=told)).published == moment


def test_text_is_one_clean_line() -> None:
    title = "Cafe\u0301 \u202etables\u202c\r\n\tand\u00a0zero\u200bwidth \ud800\x07"
    assert one(entry(1, title=title)).title == "Café tables and zerowidth"


@given(st.text())
def test_one_line_is_clean_and_stays_so(text: str) -> None:
    line = one_line(text)
    assert one_line(line) == line == line.strip()
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cs"}
    assert not {unicodedata.bidirectional(c) for c in line} & set(BIDI_MARKS)
    assert line == unicodedata.normalize("NFC", line)


def test_an_address_keeps_its_line_break_for_who_can_mend_it() -> None:
    said = one(entry(1, githubRepo=" https://github.com/ada/\nhands\ud800 "))
    assert said.github == "https://github.com/ada/\nhands"


def test_title_keys_forget_case_accents_and_signs() -> None:
    assert title_key("Éclair: a “Fast” ﬁlter-Net²") == "eclairafastfilternet2"
    assert title_key("Straße") == title_key("STRASSE")


@pytest.mark.parametrize(
    ("bad", "reason", "arxiv_id"),
    [
        (None, "the entry is null, not an object", None),
        ("{'paper': {'id': '2503.00002'}}", "the entry is a text", None),
        ([entry()], "the entry is a list", None),
        ({}, "not an arXiv id: null", None),
        ({"paper": "2503.00002"}, "`paper` is a text: 2503.00002", None),
        (entry(2, id=2503.00002), "not an arXiv id: 2503.00002", None),
        (entry(2, id="2513.00001"), "not an arXiv id: 2513.00001", None),
        ({"paper": {"id": "2503.00002", "title": " \u200b"}}, "no title", "2503.00002"),
        ({"paper": {"id": "2503.00002", "title": 5}, "title": []}, "no title", "2503.00002"),
    ],
)
def test_a_bad_entry_is_rejected_and_harms_no_neighbour(
    bad: Any, reason: str, arxiv_id: str | None
) -> None:
    read = parsed(entry(1), bad, entry(3))
    assert [said.arxiv_id for said in read.observations] == ["2503.00001", "2503.00003"]
    (lost,) = read.rejected
    assert lost.reason.startswith(reason)
    assert lost.arxiv_id == arxiv_id
    assert json.loads(lost.payload) == bad


def test_a_paper_listed_twice_is_observed_twice() -> None:
    assert [o.upvotes for o in parsed(entry(1), entry(1, upvotes=9)).observations] == [7, 9]


# a whole answer


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error":"Invalid date"}', "the API says: Invalid date"),
        (b'{"error":{"code":7}}', 'the API says: {"code": 7}'),
        (b'{"papers":[],"total":0}', "a list of papers is due, an object with papers, total came"),
        (b"{}", "an object with nothing in it came"),
        (b"1", "a list of papers is due, 1 came"),
        (b"null", "a list of papers is due, null came"),
        (b'"none"', "a text: none came"),
        (b"", "nothing came"),
        (b" \n", "nothing came"),
        (b"<!doctype html><p>Hello", "a page of HTML came"),
        (json.dumps([entry()]).encode()[:-9], "not JSON, or only half of it"),
        (b"\xff\xfe\xfa", "not JSON, or only half of it"),
        (b"[" * 100_000, "not JSON, or only half of it"),
        (b"[" + b"9" * 5_000 + b"]", "not JSON, or only half of it"),
    ],
)
def test_what_is_no_list_is_named(body: bytes, reason: str) -> None:
    with pytest.raises(SourceChanged, match=re.escape(reason)):
        huggingface.parse_api(body, DAY, SEEN)


def test_an_empty_day_is_no_error() -> None:
    assert parsed() == Parsed((), ())


@given(st.lists(JSON_VALUES | st.fixed_dictionaries({"paper": JSON_VALUES}), max_size=5))
def test_no_entry_vanishes(entries: list[Any]) -> None:
    read = parsed(*entries)
    assert len(read.observations) + len(read.rejected) == len(entries)


@given(
    st.sampled_from(
        ["id", "title", "summary", "authors", "upvotes", "organization", "ai_keywords"]
    ),
    JSON_VALUES,
)
def test_any_value_in_any_field_harms_only_its_entry(name: str, value: Any) -> None:
    read = parsed(entry(1, **{name: value}), entry(2))
    assert len(read.observations) + len(read.rejected) == 2
    assert read.observations[-1].arxiv_id == "2503.00002"


VALID = [
    json.dumps([entry(1), entry(2, githubRepo="https://github.com/a/b")]).encode(),
    page({"dateString": DAY, "periodType": "day", "dailyPapers": [entry(1)]}),
]


@given(st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_raise_only_our_errors(body: bytes) -> None:
    _only_our_errors(body)


@given(st.sampled_from(VALID), st.integers(0), st.integers(0, 40), st.binary(max_size=8))
def test_mutated_bodies_raise_only_our_errors(body: bytes, at: int, cut: int, put: bytes) -> None:
    at %= len(body)
    _only_our_errors(body[:at] + put + body[at + cut :])
    _only_our_errors(body[:at])


def _only_our_errors(body: bytes) -> None:
    for parse in (huggingface.parse_api, huggingface.parse_listing):
        try:
            read = parse(body, DAY, SEEN)
        except PaperfeedError:
            continue
        for said in read.observations:
            assert Observation.from_json(said.to_json()) == said


# the listing page


def test_the_page_of_the_day_says_what_the_api_says() -> None:
    for props in (
        {"periodType": "day", "dateString": DAY, "dailyPapers": [entry(1), None]},
        {"date": f"{DAY}T00:00:00.000Z", "dailyPapers": [entry(1), None]},
    ):
        assert huggingface.parse_listing(page(props), DAY, SEEN) == parsed(entry(1), None)
        assert huggingface.parse_listing(page(props), None, SEEN) == parsed(entry(1), None)


@pytest.mark.parametrize(
    ("props", "reason"),
    [
        ({"dateString": "2025-03-04", "dailyPapers": []}, f"page of {DAY} is due, that of 2025-"),
        ({"periodType": "week", "dateString": "2025-W10", "dailyPapers": []}, "that of no one day"),
        ({"searchResults": [entry()]}, "that of no one day"),
        ({"dateString": DAY}, "neither dailyPapers nor searchResults"),
        ({"dateString": DAY, "dailyPapers": {"0": 1}}, "neither dailyPapers nor searchResults"),
    ],
)
def test_another_page_is_not_taken_for_the_day(props: dict[str, Any], reason: str) -> None:
    with pytest.raises(SourceChanged, match=reason):
        huggingface.parse_listing(page(props), DAY, SEEN)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no Daily Papers on this page"),
        (b"<html><p>DailyPapers", "no Daily Papers on this page"),
        (b'<p data-target="DailyPapers">', "JSON is due, nothing came"),
        (b'<p data-target="DailyPapers" data-props="[1]">', "is a list, not an object"),
        (b'<p data-target="DailyPapers" data-props="{&quot;a">', "only half of it"),
    ],
)
def test_a_page_without_the_papers_is_named(body: bytes, reason: str) -> None:
    with pytest.raises(SourceChanged, match=reason):
        huggingface.parse_listing(body, None, SEEN)


def test_search_results_are_papers_of_no_day() -> None:
    bare = entry(2)["paper"]
    props = {"searchResults": [entry(1), bare], "dailyPapers": [entry(3)], "dateString": DAY}
    read = huggingface.parse_listing(page(props), None, SEEN)
    assert [(o.arxiv_id, o.listed_on) for o in read.observations] == [
        ("2503.00001", None),
        ("2503.00002", None),
    ]


# asking


class Pages:
    """A client whose answers are canned: it notes what is asked."""

    def __init__(self, answer: Any) -> None:
        self.asked: list[tuple[str, dict[str, str] | None]] = []
        self._answer = answer

    def get(self, url: str, params: dict[str, str] | None = None) -> Response:
        self.asked.append((url, params))
        body, link = self._answer(int((params or {}).get("p", 0)), url)
        headers = {"link": link} if link else {}
        return Response(
            url, 200, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), SEEN
        )


HERE = Upstreams(huggingface="http://127.0.0.1:1/hf")
URL = "http://127.0.0.1:1/hf/api/daily_papers"


def ask(answer: Any) -> tuple[Pages, list[Response]]:
    client = Pages(answer)
    return client, list(huggingface.fetch_day(client, HERE, DAY))  # type: ignore[arg-type]  # a stand-in


def full(page_number: int) -> list[dict[str, Any]]:
    return [entry(1 + page_number * 100 + n) for n in range(100)]


def test_one_short_page_is_one_request() -> None:
    client, pages = ask(lambda p, url: ([entry(1)], None))
    assert client.asked == [(URL, {"date": DAY, "limit": "100"})]
    assert [json.loads(p.body) for p in pages] == [[entry(1)]]


def test_the_link_names_the_next_page() -> None:
    def answer(p: int, url: str) -> tuple[Any, str | None]:
        link = f'<https://huggingface.co/x?limit=15&p={p + 1}>; rel="next", <y>; rel="prev"'
        return [entry(p + 1)], link if p < 2 else None

    client, pages = ask(answer)
    assert [(params or {}).get("p") for _, params in client.asked] == [None, "1", "2"]
    assert {url for url, _ in client.asked} == {URL}
    assert len(pages) == 3


def test_a_whole_address_is_followed_on_the_same_host_only() -> None:
    def same(p: int, url: str) -> tuple[Any, str | None]:
        first = "cursor" not in url
        return [entry(1 if first else 2)], '</hf/next?cursor=abc>; rel="next"' if first else None

    client, _ = ask(same)
    assert client.asked[1] == ("http://127.0.0.1:1/hf/next?cursor=abc", None)

    def foreign(p: int, url: str) -> tuple[Any, str | None]:
        return [entry(p + 1)], "<https://evil.example/?cursor=abc>; rel=next" if p == 0 else None

    client, _ = ask(foreign)
    assert client.asked[1] == (URL, {"date": DAY, "limit": "100", "p": "1"})


def test_a_full_page_without_a_link_is_followed_by_the_next() -> None:
    client, pages = ask(lambda p, url: (full(p) if p < 2 else [], None))
    assert [(params or {}).get("p") for _, params in client.asked] == [None, "1", "2"]
    assert [len(json.loads(p.body)) for p in pages] == [100, 100, 0]


def test_a_server_that_ignores_the_page_number_is_no_loop() -> None:
    client, pages = ask(lambda p, url: (full(0), '<?p=1>; rel="next"'))
    assert (len(client.asked), len(pages)) == (2, 2)


def test_days_without_end_are_an_error() -> None:
    client = Pages(lambda p, url: ([entry(p + 1)], f'<?p={p + 1}>; rel="next"'))
    days = huggingface.fetch_day(client, HERE, DAY)  # type: ignore[arg-type]  # a stand-in
    got = [next(days) for _ in range(50)]
    with pytest.raises(SourceChanged, match="50 pages and more to come"):
        next(days)
    assert (len(got), len(client.asked)) == (50, 50)


@pytest.mark.parametrize("body", [b"<html>", b'{"error":"x"}', b"[1, 2", [None, 3, {"paper": 4}]])
def test_an_odd_page_is_given_and_ends_the_day(body: Any) -> None:
    client, pages = ask(lambda p, url: (full(0) if p == 0 else body, '<?p=1>; rel="next"'))
    assert (len(client.asked), len(pages)) == (2, 2)


def test_the_listing_page_is_asked_by_its_date() -> None:
    client = Pages(lambda p, url: (b"<html>", None))
    assert huggingface.fetch_listing(client, HERE, DAY).body == b"<html>"  # type: ignore[arg-type]  # a stand-in
    assert client.asked == [("http://127.0.0.1:1/hf/papers/date/2025-03-03", None)]


# what was really received


def test_435_real_days_lose_nothing(shared: Any) -> None:
    entries = days = 0
    with tarfile.open(shared / "captures/huggingface/daily_api.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            body, day = file.read(), member.name[-15:-5]
            read = huggingface.parse_api(body, day, SEEN)
            told = json.loads(body)
            assert len(read.observations) == len(told), day
            for said, raw in zip(read.observations, told, strict=True):
                _agree(said, raw, day)
            days, entries = days + 1, entries + len(told)
    assert (days, entries) == (435, 6651)


def _agree(said: Observation, raw: dict[str, Any], day: str) -> None:
    """The same entry read in the plainest way."""
    paper = raw["paper"]

    def letters(text: str) -> list[str]:
        seen = (c for c in text if unicodedata.category(c) not in ("Cf", "Cc"))
        return list(unicodedata.normalize("NFC", "".join("".join(seen).split())))

    assert said.arxiv_id == paper["id"]
    assert said.listed_on == day
    assert letters(said.title or "") == letters(paper["title"])
    assert letters(said.abstract or "") == letters(paper["summary"])
    assert (said.abstract or "").split() == (said.abstract or "").split(" ")
    assert list(said.authors) == [
        " ".join(author["name"].split()) for author in paper["authors"] if author["name"].strip()
    ]
    assert said.published == re.sub(r"\.\d{3}Z$", "Z", paper["publishedAt"])
    assert said.upvotes == paper["upvotes"]
    assert said.github == paper.get("githubRepo")
    assert said.github_by == paper.get("githubRepoAddedBy")
    assert said.project_page == (paper.get("projectPage", "").strip() or None)
    assert list(said.keywords) == [k.strip() for k in paper.get("ai_keywords", []) if k.strip()]
    organization = (paper.get("organization") or {}).get("fullname", "").split()
    assert (said.organization or "").split() == organization


def test_the_real_page_is_that_of_another_day(shared: Any) -> None:
    body = (shared / "captures/huggingface/listing_2024-08-11.html").read_bytes()
    read = huggingface.parse_listing(body, "2024-08-01", SEEN)
    assert (len(read.observations), len(read.rejected)) == (13, 0)
    assert read.observations[0].arxiv_id == "2407.21783"
    assert {said.listed_on for said in read.observations} == {"2024-08-01"}
    with pytest.raises(SourceChanged, match="2024-08-11 is due, that of 2024-08-01 came"):
        huggingface.parse_listing(body, "2024-08-11", SEEN)


def test_what_went_wrong_for_others_is_named(shared: Any) -> None:
    odd = shared / "captures/huggingface/odd"
    for name, reason in [
        ("error_body.json", "the API says: Sorry"),
        ("no_papers_2024-12-21.json", "a list of papers is due, 1 came"),
        ("spaces_page_2025-04.html", "a page of HTML came"),
    ]:
        with pytest.raises(SourceChanged, match=reason):
            huggingface.parse_api((odd / name).read_bytes(), DAY, SEEN)
    with pytest.raises(SourceChanged, match="no Daily Papers on this page"):
        huggingface.parse_listing((odd / "spaces_page_2025-04.html").read_bytes(), None, SEEN)
    for path in odd.glob("wrapped_*.json"):
        read = huggingface.parse_api(path.read_bytes(), DAY, SEEN)
        assert len(read.rejected) == len(json.loads(path.read_bytes())) > 0
        assert read.observations == ()
