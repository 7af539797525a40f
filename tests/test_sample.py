"""The sample week keeps the properties that the demo and the other tests lean on."""

from __future__ import annotations

import io
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
WITHDRAWN, UNKNOWN_TO_ARXIV, ON_TWO_DAYS = "2511.01450", "2602.23363", "2406.09358"
ADDRESS = re.compile(r"https?://\S+")

Item = dict[str, Any]
Entry = ElementTree.Element


def load_days() -> dict[str, list[Item]]:
    files = sorted((SAMPLE / "huggingface").glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def load_entries() -> list[Entry]:
    feeds = (ElementTree.parse(file) for file in sorted((SAMPLE / "arxiv").glob("*.xml")))
    return [entry for feed in feeds for entry in feed.getroot().findall(f"{ATOM}entry")]


DAYS = load_days()
LISTED = [item["paper"] for day in DAYS.values() for item in day]
ENTRIES = {
    re.sub(r"^http://arxiv\.org/abs/(.+)v\d+$", r"\1", str(entry.findtext(f"{ATOM}id"))): entry
    for entry in load_entries()
}


def squeezed(text: str | None) -> str:
    return " ".join((text or "").split())


def abstracts() -> dict[str, str]:
    """Every paper's abstract once, from Atom where it has one, else from the listing."""
    listed = {paper["id"]: squeezed(paper.get("summary")) for paper in LISTED}
    return listed | {i: squeezed(e.findtext(f"{ATOM}summary")) for i, e in ENTRIES.items()}


def comment(arxiv_id: str) -> str:
    return ENTRIES[arxiv_id].findtext(f"{ARXIV}comment") or ""


def ids_where(field: str, pattern: str) -> set[str]:
    return {paper["id"] for paper in LISTED if re.search(pattern, paper.get(field, ""))}


def test_the_days_are_one_working_week_of_different_sizes() -> None:
    sizes = {day: len(items) for day, items in DAYS.items()}
    assert sizes == {
        "2026-02-23": 14, "2026-02-24": 16, "2026-02-25": 24, "2026-02-26": 17, "2026-02-27": 19,
    }  # fmt: skip
    assert [date.fromisoformat(day).isoweekday() for day in DAYS] == [1, 2, 3, 4, 5]


def test_there_are_89_papers_and_one_is_listed_twice() -> None:
    ids = [paper["id"] for paper in LISTED]
    assert len(set(ids)) == 89
    assert [i for i in set(ids) if ids.count(i) > 1] == [ON_TWO_DAYS]


def test_the_paper_of_two_days_changed_in_between() -> None:
    first, second = (paper for paper in LISTED if paper["id"] == ON_TWO_DAYS)
    assert (first["upvotes"], second["upvotes"]) == (31, 47)
    assert "githubRepo" not in first
    assert second["githubRepo"] == "https://github.com/locuslab/diffusion-model-hallucination"


def test_every_listed_paper_but_one_has_exactly_one_entry_in_atom() -> None:
    listed = {paper["id"] for paper in LISTED}
    assert listed - ENTRIES.keys() == {UNKNOWN_TO_ARXIV}
    assert ENTRIES.keys() - listed == set()
    assert len(load_entries()) == len(ENTRIES) == 88


def test_listing_and_atom_agree_on_title_authors_and_abstract() -> None:
    for paper in LISTED:
        entry = ENTRIES.get(paper["id"])
        if entry is None:
            continue
        authors = [squeezed(a.findtext(f"{ATOM}name")) for a in entry.findall(f"{ATOM}author")]
        assert squeezed(paper["title"]) == squeezed(entry.findtext(f"{ATOM}title"))
        assert [author["name"] for author in paper["authors"]] == authors
        assert squeezed(paper.get("summary")) in ("", squeezed(entry.findtext(f"{ATOM}summary")))


def test_outer_fields_repeat_the_inner_ones_and_days_are_sorted_by_upvotes() -> None:
    for items in DAYS.values():
        assert all(item["title"] == item["paper"]["title"] for item in items)
        assert all(item.get("summary", "") in ("", item["paper"].get("summary")) for item in items)
        upvotes = [item["paper"]["upvotes"] for item in items]
        assert upvotes == sorted(upvotes, reverse=True)


def test_papers_are_published_before_they_are_listed() -> None:
    for day, items in DAYS.items():
        for item in items:
            published = datetime.fromisoformat(item["paper"]["publishedAt"])
            assert published.date() <= date.fromisoformat(day)
            assert item["paper"]["submittedOnDailyAt"].startswith(day)


def test_listed_and_atom_moments_of_publication_agree() -> None:
    for paper in LISTED:
        if paper["id"] != UNKNOWN_TO_ARXIV:
            moment = ENTRIES[paper["id"]].findtext(f"{ATOM}published")
            assert paper["publishedAt"] == str(moment).replace("Z", ".000Z")


def test_some_entries_have_no_abstract_in_the_listing_but_one_in_atom() -> None:
    without = {paper["id"] for paper in LISTED if not paper.get("summary")}
    assert without == {"2408.15461", "2602.16603", "2602.04547", "2601.17690"}
    assert all(len(abstracts()[i].split()) >= 70 for i in without)
    missing = {paper["id"] for paper in LISTED if "summary" not in paper}
    assert missing == {"2408.15461", "2602.04547"}


def test_some_items_lack_only_the_outer_abstract() -> None:
    items = [item for day in DAYS.values() for item in day]
    inner_only = {i["paper"]["id"] for i in items if "summary" not in i and "summary" in i["paper"]}
    assert inner_only == {"2407.00497", "2304.08733", "2602.14696", "2602.09439"}


def test_repositories_come_in_their_odd_forms_and_from_both_hands() -> None:
    assert ids_where("githubRepo", r"/tree/main") == {"2602.06540", "2602.10102"}
    assert ids_where("githubRepo", r"/$") == {"2601.20540"}
    assert ids_where("githubRepo", r"\.git$") == {"2601.23143"}
    assert ids_where("githubRepoAddedBy", "^auto$") >= {"2512.20578", "2302.05543"}
    assert len(ids_where("githubRepoAddedBy", "^user$")) >= 20
    assert sum("githubRepo" not in paper for paper in LISTED) >= 20


def test_project_pages_on_github_com_and_on_github_io() -> None:
    with_repo = ids_where("githubRepo", ".")
    assert ids_where("projectPage", r"//github\.com/") - with_repo == {"2602.13515", "2602.16855"}
    assert len(ids_where("projectPage", r"\.github\.io")) >= 5


def test_some_repositories_are_told_by_arxiv_alone() -> None:
    with_repo = ids_where("githubRepo", ".")
    told = {i for i in ENTRIES if "github.com/" in comment(i)} - with_repo
    assert told == {"2601.22674", "2602.10177", "2512.25075", "2601.04992"}
    in_abstract = {i for i, text in abstracts().items() if "github.com/" in text}
    assert in_abstract - with_repo - told == {"2602.14696"}


def test_exactly_one_paper_is_withdrawn() -> None:
    withdrawn = {i for i in ENTRIES if "withdrawn" in comment(i).lower()}
    assert withdrawn == {WITHDRAWN}
    assert comment(WITHDRAWN).startswith("This paper has been withdrawn by the authors")


def test_entries_have_versions_categories_and_both_styles_of_text() -> None:
    versions = {i: str(e.findtext(f"{ATOM}id")).rpartition("v")[2] for i, e in ENTRIES.items()}
    assert sum(version != "1" for version in versions.values()) == 11
    assert versions["2305.13301"] == "4"
    wrapped = [e for e in ENTRIES.values() if str(e.findtext(f"{ATOM}summary")).startswith("  ")]
    assert 10 < len(wrapped) < 60
    for entry in ENTRIES.values():
        terms = [element.attrib["term"] for element in entry.findall(f"{ATOM}category")]
        primary = entry.find(f"{ARXIV}primary_category")
        assert primary is not None
        assert primary.attrib["term"] == terms[0]


def test_the_entries_of_the_question_in_the_demo_are_there() -> None:
    titles = {paper["id"]: squeezed(paper["title"]) for paper in LISTED}
    assert titles["2311.17957"].startswith("HandRefiner: Refining Malformed Hands")
    assert titles["2407.06937"].startswith("HumanRefiner: Benchmarking Abnormal Human Generation")
    assert titles["2404.13984"].startswith("RHanDS: Refining Malformed Hands")
    on_hands = [i for i, text in abstracts().items() if re.search(r"\b(hands?|fingers?)\b", text)]
    assert len(on_hands) >= 8


def test_abstracts_are_ours_in_length_and_no_two_are_alike() -> None:
    texts = abstracts()
    assert {i for i, text in texts.items() if not 60 <= len(text.split()) <= 112} == set()
    assert len(set(texts.values())) == len(texts) == 89


def test_the_sample_stays_small() -> None:
    files = [*(SAMPLE / "huggingface").iterdir(), *(SAMPLE / "arxiv").iterdir()]
    assert sum(file.stat().st_size for file in files) < 600_000


def runs_of_eight(text: str) -> set[tuple[str, ...]]:
    """Every run of eight words; addresses are facts and do not count."""
    words = re.findall(r"[a-z0-9]+", ADDRESS.sub(" ", text).lower())
    return set(zip(*(words[start:] for start in range(8)), strict=False))


def captured_texts(shared: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(shared / "captures" / "huggingface" / "daily_api.tar.xz") as archive:
        for member in archive:
            body = archive.extractfile(member)
            for item in json.load(body) if body else []:
                paper = item["paper"]
                yield paper["id"], paper.get("summary") or ""
                yield paper["id"], paper.get("ai_summary") or ""


def benchmark_texts(shared: Path, ids: set[str]) -> Iterator[tuple[str, str]]:
    fields = {
        "arxiv_120k": ("id", "abstract"),
        "corpus": ("_id", "text"),
        "github_links": ("id", "abstract"),
    }
    for name, (key, field) in fields.items():
        with lzma.open(shared / "bench" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
            assert isinstance(lines, io.TextIOBase)
            for line in lines:
                # The id stands first on its line: parsing only the wanted ones keeps this short.
                if line[:40].split('"')[3] in ids:
                    record = json.loads(line)
                    yield record[key], record[field]


def test_no_abstract_is_taken_over_from_its_paper(shared: Path) -> None:
    ours = {i: runs_of_eight(text) for i, text in abstracts().items()}
    compared = set()
    for source in (captured_texts(shared), benchmark_texts(shared, set(ours))):
        for arxiv_id, original in source:
            if arxiv_id in ours and original:
                compared.add(arxiv_id)
                assert not ours[arxiv_id] & runs_of_eight(original), arxiv_id
    assert len(compared) >= 60


@pytest.mark.parametrize("copied", ["one two three four five six seven eight", "a b c d e f g h i"])
def test_the_comparison_finds_a_copied_run(copied: str) -> None:
    own = runs_of_eight(f"something before, {copied} and https://github.com/a/b after")
    assert own & runs_of_eight(copied.title())
    assert not own & runs_of_eight(copied.rsplit(" ", 2)[0])
