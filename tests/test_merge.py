"""Merging: what wins, and that order and repetition never matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.merge import merge
from ingest.paper import Observation, Paper, Repo

ID = "2503.00001"
HF = Observation(
    "huggingface",
    ID,
    "2025-03-03T05:00:00.000000Z",
    listed_on="2025-03-03",
    title="A title as listed",
    abstract="Listed words.",
    authors=("Ada L.",),
    published="2025-02-28T10:00:00Z",
    upvotes=3,
)
ARXIV = Observation(
    "arxiv_api",
    ID,
    "2025-03-02T05:00:00.000000Z",
    version=1,
    title="A Title",
    abstract="Printed words.",
    authors=("Ada Lovelace",),
    categories=("cs.CL", "cs.AI"),
    published="2025-02-28T17:59:59Z",
    withdrawn=False,
)


def test_arxiv_wins_for_what_is_printed_and_hugging_face_for_its_own() -> None:
    paper = merge(ID, [HF, ARXIV])
    assert (paper.title, paper.abstract, paper.authors) == (
        "A Title",
        "Printed words.",
        ("Ada Lovelace",),
    )
    assert (paper.published, paper.version, paper.upvotes) == ("2025-02-28T17:59:59Z", 1, 3)
    assert paper.listed_on == ("2025-03-03",)
    assert paper.sources["title"] == "arxiv_api"
    assert paper.sources["upvotes"] == "huggingface"
    assert paper.sources["version"] == "arxiv_api"
    assert paper.sources["listed_on"] == "huggingface"


def test_of_sources_that_agree_the_same_one_is_credited_whoever_spoke_last() -> None:
    oai = replace(ARXIV, source="oai")
    late = replace(ARXIV, seen_at="2025-06-01T05:00:00.000000Z")
    assert merge(ID, [oai, late]) == merge(ID, [replace(oai, seen_at="2025-07"), ARXIV])
    assert merge(ID, [oai, late]).sources["title"] == "oai"
    changed = replace(late, title="Another title")
    assert merge(ID, [oai, changed]).sources["title"] == "arxiv_api"


def test_hugging_face_alone_gives_a_paper_without_version() -> None:
    paper = merge(ID, [HF])
    assert (paper.title, paper.version, paper.pdf_url) == (
        "A title as listed",
        None,
        "http://arxiv.org/pdf/2503.00001.pdf",
    )


def test_a_newer_version_wins_even_when_the_older_one_arrives_later() -> None:
    third = replace(ARXIV, version=3, title="Third title", updated="2025-04-01T00:00:00Z")
    late_second = replace(
        ARXIV, version=2, title="Second title", seen_at="2025-05-01T00:00:00.000000Z"
    )
    paper = merge(ID, [third, late_second, ARXIV])
    assert (paper.version, paper.title, paper.updated) == (
        3,
        "Third title",
        "2025-04-01T00:00:00Z",
    )


def test_a_newer_listing_never_erases_what_an_older_one_gave() -> None:
    older = replace(
        HF, github="https://github.com/a/b", keywords=("kw",), project_page="https://p.io"
    )
    newer = replace(HF, seen_at="2025-03-05T05:00:00.000000Z", upvotes=9)
    paper = merge(ID, [newer, older])
    assert paper.repos == (Repo("a/b", "huggingface", own=True),)
    assert (paper.upvotes, paper.keywords, paper.project_page) == (9, ("kw",), "https://p.io")


def test_the_newest_answer_gives_the_upvotes_whatever_day_it_lists() -> None:
    other = replace(HF, listed_on="2025-03-04", upvotes=8)
    newest = replace(HF, seen_at="2025-03-03T06:00:00.000000Z", upvotes=9)
    paper = merge(ID, [newest, other])
    assert (paper.upvotes, paper.listed_on) == (9, ("2025-03-03", "2025-03-04"))


def test_a_paper_that_hugging_face_calls_withdrawn_is_withdrawn() -> None:
    assert merge(ID, [ARXIV, replace(HF, withdrawn=True)]).withdrawn


def test_a_repository_a_person_added_is_trusted_above_an_automatic_one() -> None:
    person = replace(HF, github="https://github.com/a/by-user", github_by="user")
    robot = replace(
        HF,
        github="https://github.com/a/by-auto",
        github_by="auto",
        seen_at="2025-03-06T05:00:00.000000Z",
    )
    assert merge(ID, [person, robot]).repo == Repo("a/by-user", "huggingface", own=True)


def test_every_place_of_a_link_is_kept_most_trusted_first_and_spelled_alike() -> None:
    listed = replace(HF, github="https://github.com/Owner/Name/")
    printed = replace(
        ARXIV,
        comment="Code: https://github.com/owner/name",
        abstract="Our code is available at github.com/OWNER/NAME.",
    )
    paper = merge(ID, [listed, printed])
    assert [(r.name, r.found_in, r.own) for r in paper.repos] == [
        ("Owner/Name", "huggingface", True),
        ("Owner/Name", "comment", True),
        ("Owner/Name", "abstract", True),
    ]


def test_a_project_page_on_github_is_a_repository() -> None:
    paper = merge(ID, [replace(HF, project_page="https://github.com/a/page/tree/main")])
    assert paper.repos == (Repo("a/page", "project_page", own=True),)


def test_the_newest_version_says_whether_it_is_withdrawn() -> None:
    withdrawn = replace(ARXIV, version=2, withdrawn=True)
    assert merge(ID, [ARXIV, withdrawn]).withdrawn
    assert not merge(ID, [replace(ARXIV, version=3), withdrawn]).withdrawn
    assert merge(ID, [replace(HF, withdrawn=True)]).withdrawn


def test_a_record_survives_json() -> None:
    paper = merge(ID, [replace(HF, github="https://github.com/a/b"), ARXIV])
    record = paper.to_record()
    assert record["repos"][0]["url"] == "https://github.com/a/b"
    assert Paper.from_record(record) == paper


words = st.none() | st.sampled_from(["one", "two", "see https://github.com/a/b for code"])
observations = st.builds(
    Observation,
    source=st.sampled_from(["huggingface", "arxiv_api", "saved_listing", "oai"]),
    arxiv_id=st.just(ID),
    seen_at=st.sampled_from(["2025-03-03T05:00:00.000000Z", "2025-03-04T05:00:00.000000Z"]),
    listed_on=st.none() | st.sampled_from(["2025-03-03", "2025-03-04"]),
    version=st.none() | st.integers(1, 3),
    title=words,
    abstract=words,
    comment=words,
    authors=st.sampled_from([(), ("A",), ("A", "B")]),
    github=st.none() | st.sampled_from(["https://github.com/a/b", "https://github.com/A/c"]),
    github_by=st.sampled_from([None, "user", "auto"]),
    withdrawn=st.none() | st.booleans(),
    upvotes=st.none() | st.integers(0, 5),
)


@given(st.lists(observations, max_size=6), st.randoms())
def test_neither_order_nor_repetition_matters(seen, random) -> None:
    shuffled = seen + seen[:2]
    random.shuffle(shuffled)
    assert merge(ID, shuffled) == merge(ID, seen)


@given(st.lists(observations, max_size=6), st.integers(0, 6))
def test_batches_come_to_what_all_of_them_together_come_to(seen, cut) -> None:
    """The catalogue keeps of what is said alike only the newest: that must change nothing."""
    first, then = kept(seen[:cut]), kept(seen[cut:])
    assert merge(ID, kept([*first, *then])) == merge(ID, kept([*then, *first])) == merge(ID, seen)


def kept(seen: list[Observation]) -> list[Observation]:
    newest: dict[Observation, str] = {}
    for o in seen:
        said = replace(o, seen_at="")
        newest[said] = max(newest.get(said, ""), o.seen_at)
    return [replace(said, seen_at=at) for said, at in newest.items()]
