"""Section 8 of the sources' facts, every vector, and links judged against real papers' own."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.links import find_repos, repo_of
from ingest.paper import Repo


def names(text: str) -> list[str]:
    return [repo.name for repo in find_repos(text, "abstract")]


def own(text: str, title: str | None = None) -> list[str]:
    return [repo.name for repo in find_repos(text, "abstract", title) if repo.own]


MEDICAL = "mitmedialab/medical_hallucination"
VECTORS = [
    ("Code: github.com/WeiYuFei0217/StreamRig.", ["WeiYuFei0217/StreamRig"]),
    ("(https://github.com/a/b).", ["a/b"]),
    ("https://github.com/a/b.git", ["a/b"]),
    ("https://github.com/a/b.git.", ["a/b"]),
    ("https://github.com/a/b/", ["a/b"]),
    ("www.github.com/a/b/", ["a/b"]),
    ("https://www.GitHub.com/a/b", ["a/b"]),
    ("github.com/a/b", ["a/b"]),
    ("http://github.com//a//b", ["a/b"]),
    ("https://github.com:443/a/b", ["a/b"]),
    ("git@github.com:a/b.git", ["a/b"]),
    ("ssh://git@github.com/a/b.git", ["a/b"]),
    ("git+https://user@github.com/a/b.git", ["a/b"]),
    ("https://github.com/a/b/tree/main/x", ["a/b"]),
    ("https://github.com/a/b/blob/main/README.md#L1", ["a/b"]),
    ("https://github.com/a/b/wiki", ["a/b"]),
    ("https://github.com/a/b?tab=readme-ov-file", ["a/b"]),
    ("https://github.com/a/b#readme", ["a/b"]),
    ("https://github.com/a/b%20", ["a/b"]),
    ("raw.githubusercontent.com/a/b/main/x.py", ["a/b"]),
    ("https://api.github.com/repos/a/b", ["a/b"]),
    ("github.com/org", []),
    ("https://github.com/org/", []),
    ("https://github.com/org. We show more.", []),
    ("https://github.com/org/ and more", []),
    ("https://github.com/org/\nWe show more.", []),
    ("github.com/topics/llm", []),
    ("github.com/orgs/foo/repositories", []),
    ("github.com/sponsors/x", []),
    ("github.com/login/oauth", []),
    ("gist.github.com/u/abc", []),
    ("https://gist.github.com/u/abc", []),
    ("foo.github.io/bar/", []),
    ("https://gitlab.com/a/b", []),
    ("notgithub.com/a/b", []),
    ("github.com.evil.com/a/b", []),
    ("https://example.com/github.com/a/b", []),
    ("GitHub: a/b", []),
    ("GitHub.com: a/b", []),
    (r"\url{https://github.com/mitmedialab/medical\_hallucination}", [MEDICAL]),
    (r"\href{https://github.com/a/b}{code}", ["a/b"]),
    (r"\href{https://github.com/a/b\_c}{\texttt{github.com/a/b\_c}}.", ["a/b_c"]),
    ("https://github.com/a/my-\nrepo", ["a/my-repo"]),
    ("https://github.com/a/my-\r\n  repo is ours", ["a/my-repo"]),
    ("https://github.com/a/my-\nin-context-repo", ["a/my-in-context-repo"]),
    ("https://github.com/a/\nrepo", ["a/repo"]),
    ("https://github.com/\na/repo", ["a/repo"]),
    ("https://github.com/a/b\nrepo", ["a/b"]),
    ("https://github.com/some-lab/ our-repo", ["some-lab/our-repo"]),
    ("https://github.com/a/ MixCase.", ["a/MixCase"]),
    ("https: //github.com/a/b", ["a/b"]),
    ("[code](https://github.com/a/b)", ["a/b"]),
    ("<a>https://github.com/a/b</a>", ["a/b"]),
    ("https://github.com/a/b&quot;", ["a/b"]),
    ("https://github.com/a/b’s", ["a/b"]),
    ("https://github.com/a–b/c", ["a-b/c"]),
    ("https://github.com/a/b‑c", ["a/b-c"]),
    ("https://github.com/a/b—a dataset", ["a/b"]),
    ("https://github.com/a/b – a dataset", ["a/b"]),
    ("https://github.com/a/b\u200bc", ["a/bc"]),
    ("https://github.com/a/b,https://github.com/c/d", ["a/b", "c/d"]),
    ("https://github.com/A/B and https://github.com/a/b", ["A/B"]),
    ("https://github.com/a/.github", ["a/.github"]),
    ("https://github.com/a/b_", ["a/b_"]),
    ("https://github.com/a/v1.0.", ["a/v1.0"]),
    ("https://github.com/a/..", []),
    ("https://github.com/a/.git", []),
    ("https://github.com/-a/b", []),
    ("https://github.com/a--b/c", []),
    ("https://github.com/a-/c", []),
    (f"https://github.com/{'a' * 39}/{'b' * 100}", [f"{'a' * 39}/{'b' * 100}"]),
    (f"https://github.com/{'a' * 40}/b", []),
    (f"https://github.com/a/{'b' * 101}", []),
    ("代码见https://github.com/a/b。", ["a/b"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), VECTORS)
def test_vectors(text: str, expected: list[str]) -> None:
    assert names(text) == expected
    assert repo_of(text) == (expected[0] if expected else None)
    assert names(f"Words before {text}") == expected


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("https://github.com/a–b/c", True),
        ("https://github.com/a/b−c", True),
        ("https://github.com/a/my-\nrepo", True),
        ("https://github.com/a/\nrepo", True),
        ("https://github.com/a/ my-repo", True),
        (r"https://github.com/a/b\_c", False),
        ("https: //github.com/a/b", False),
        ("https://github.com/a/b", False),
    ],
)
def test_mended_addresses_are_flagged(text: str, repaired: bool) -> None:
    assert [repo.repaired for repo in find_repos(text, "abstract")] == [repaired]


OFFERED = [
    "Code is available at https://github.com/a/b.",
    "We release it: https://github.com/a/b",
    "Our models live at https://github.com/a/b.",
    "The dataset will be open-sourced (https://github.com/a/b).",
    "Project page: https://github.com/a/b",
    "See https://github.com/a/b.",
    "It works well. https://github.com/a/b",
    "It works well.\nhttps://github.com/a/b\nhttps://example.org/demo",
    r"\href{https://github.com/a/b}{Code is available}.",
    "We present Thing (https://github.com/a/b), a thing that frobnicates.",
    "https://github.com/a/b contains all code.",
    "We build on https://github.com/x/y.\nOur code is at https://github.com/a/b.",
    "We build on https://github.com/x/y.\nhttps://github.com/a/b",
    "We evaluate on Some-bench (https://github.com/x/y) and release code at https://github.com/a/b",
    "We maintain a list at https://github.com/a/b.",
]
MENTIONED = [
    "Everything is built on https://github.com/a/b.",
    "Our code is built on top of the Some codebase at https://github.com/a/b.",
    "Our implementation is based on the official repository (https://github.com/a/b).",
    "The code is a fork of https://github.com/a/b.",
    "All models are trained using Some Library (https://github.com/a/b).",
    "Compared with https://github.com/a/b, it is faster.",
    "Unlike Some (https://github.com/a/b), it is fast.",
    "We adapt the code of https://github.com/a/b to our needs.",
    "See the awesome list https://github.com/a/b for more.",
    "Experiments on Some-bench (https://github.com/a/b) show gains.",
    "Frameworks such as https://github.com/a/b and https://github.com/c/d abound.",
]


@pytest.mark.parametrize("text", OFFERED)
def test_what_the_work_offers_is_its_own(text: str) -> None:
    assert own(text) == ["a/b"]


@pytest.mark.parametrize("text", MENTIONED)
def test_what_it_builds_on_is_only_mentioned(text: str) -> None:
    assert own(text) == []
    assert names(text)[0] == "a/b"


def test_one_judgement_for_addresses_joined_by_and() -> None:
    text = "Code is available at https://github.com/a/b and https://github.com/c/d."
    assert own(text) == ["a/b", "c/d"]


@pytest.mark.parametrize(
    ("repo", "title"),
    [
        ("a/Frob-Net", "FrobNet: Frobnicating Things"),
        ("a/FrobNet-official", "FrobNet: Frobnicating Things"),
        ("a/frobnicating_things", "On Frobnicating Things"),
        ("a/FTM", "Frobnicating Things Mildly"),
    ],
)
def test_a_repository_with_the_titles_name_is_own(repo: str, title: str) -> None:
    text = f"It frobnicates (https://github.com/{repo}) well."
    assert own(text, title) == [repo]
    assert own(text, "Something Else Entirely: A Study") == []
    assert own(text) == []
    assert own(f"It is built on https://github.com/{repo}.", title) == []


def test_outside_abstracts_a_link_is_own_unless_said_otherwise() -> None:
    comments = "8 pages, 2 figures, https://github.com/a/b, based on https://github.com/c/d"
    assert find_repos(comments, "comment") == (
        Repo("a/b", "comment", own=True),
        Repo("c/d", "comment", own=False),
    )


def test_one_repository_twice_is_one_own_if_once_own_and_spelled_without_mending() -> None:
    text = "Built on https://github.com/a–x/b. Code is at https://github.com/A-X/B."
    assert find_repos(text, "abstract") == (Repo("A-X/B", "abstract", own=True),)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/lab\n/\nrepo", None),
        ("https://github.com/lab/\nrepo", "lab/repo"),
        ("https://github.com/\nlab/repo.git", "lab/repo"),
        ("https://github.com/lab/repo///", "lab/repo"),
        ("https://github.com/lab/repo/tree/main/part", "lab/repo"),
        ("https://github.com/lab", None),
        (" https://github.com/lab/repo ", "lab/repo"),
        ("https://lab.github.io/repo/", None),
        ("", None),
    ],
)
def test_one_address_field(url: str, name: str | None) -> None:
    assert repo_of(url) == name


owners = st.from_regex(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,3}", fullmatch=True)
repo_names = st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True)
pieces = st.sampled_from(
    ["https://", "github.com", "/", ":", "a", "B-", "–", "\n", " ", ".", ".git", r"\_", "and", "{"]
)
texts = st.one_of(st.text(), st.lists(pieces, max_size=25).map("".join))


@given(owners, repo_names)
def test_a_name_found_names_itself(owner: str, name: str) -> None:
    found = repo_of(f"https://github.com/{owner}/{name}")
    if found:
        assert repo_of(f"https://github.com/{found}") == found


@given(texts)
def test_any_text_is_read_and_what_it_names_is_stable(text: str) -> None:
    found = find_repos(text, "abstract", "A Title: " + text)
    assert len({repo.name.lower() for repo in found}) == len(found)
    for repo in found:
        assert repo_of(repo.url) == repo.name
        assert repo_of(f"{repo.url}.git") == repo.name


@pytest.mark.parametrize(
    "piece",
    [
        *("github.com/", "github.com/a/b ", "github.com/a-", "https:", "https:/"),
        *(".git", "github.com/a/b.git.git."),
        *("use a ", "and ", ". ", "\n", "("),
    ],
)
def test_a_megabyte_is_read_in_linear_time(piece: str) -> None:
    text = f"github.com/x/y, github.com/z/w{piece * (1_000_000 // len(piece))} github.com/x/y"
    assert names(text)[0] == "x/y"


# From here on: real responses.


@pytest.fixture(scope="module")
def papers(shared: Path) -> dict[str, dict[str, Any]]:
    """The `paper` objects of every recorded day by their id, each once."""
    return {paper["id"]: paper for paper in _papers(shared)}


def _papers(shared: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(shared / "captures" / "huggingface" / "daily_api.tar.xz") as days:
        for member in days:
            file = days.extractfile(member)
            if file and member.name.endswith(".json"):
                yield from (entry["paper"] for entry in json.load(file))


def test_every_recorded_repository_field_is_read(papers: dict[str, dict[str, Any]]) -> None:
    fields = {paper["githubRepo"] for paper in papers.values() if paper.get("githubRepo")}
    assert len(fields) > 1900
    assert {url for url in fields if repo_of(url) is None} == {"https://github.com/DFIR-Metric"}
    assert repo_of("https://github.com/\nFightingFighting/NeuroAda.git") in {
        repo_of(url) for url in fields
    }


def test_links_of_recorded_abstracts_agree_with_their_repository_field(
    papers: dict[str, dict[str, Any]],
) -> None:
    links = right = named = recalled = 0
    for paper in papers.values():
        known = repo_of(paper.get("githubRepo") or "")
        if known is None:
            continue
        found = [name.lower() for name in own(paper["summary"], paper["title"])]
        links += len(found)
        right += found.count(known.lower())
        named += "github.com" in paper["summary"].lower()
        recalled += known.lower() in found
    assert links > 500
    assert right / links >= 0.98
    assert recalled / named >= 0.97


def test_the_saved_listing_names_its_repositories(shared: Path) -> None:
    text = (shared / "captures" / "daily_papers_listing.txt").read_text(encoding="utf-8")
    found = find_repos(text, "abstract")
    assert [repo.name for repo in found] == [
        "zrguo/Observe-R1",
        "CyclicalCurriculum/Cyclical-Curriculum",
        "hynnsk/SelectiveCL",
        "BurakGurbuz97/SHARP-Continual-Learning",
        "QizhiPei/mathfusion",
        "FELIXFENG2019/EvoStruggle",
        "AngusDujw/Bottom-Up-Agent",
        "Paitesanshi/LLM-Agent-Survey",
        "FreedomIntelligence/ReaLM",
        "MCG-NJU/KS-Gen",
        "Leon-LihongWang/ViRC",
        "LHL3341/MetaLadder",
    ]
    assert all(repo.own and not repo.repaired for repo in found)
