from __future__ import annotations

import logging
import math
import os
import shutil
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import index
from index.build import publish
from index.lexical import tokens
from index.records import Filter
from index.related import block
from index.retriever import Retriever
from index.snapshot import current, rollback
from ingest.errors import BadInput, MissingExtra
from ingest.paper import Paper
from tests.fake_encoder import TOPICS, MemoryCache, WordEncoder, paper_row, papers, row
from tests.test_lexical import bm25

COUNT = 120
QUESTION = "diffusion models that draw hands"


def put(home: Path, given: list[Paper], digest: str = "f" * 16) -> Path:
    made = publish(home / "index", given, WordEncoder(digest), MemoryCache(), allow_shrink=True)
    return made.path


def opened(path: Path) -> Retriever:
    return Retriever.open(path, encoder=WordEncoder.open)


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return opened(put(tmp_path_factory.mktemp("home"), papers(COUNT)))


def words_weight(given: list[Paper]) -> float:
    """Three spreads of the inner products of all papers with one another."""
    rows = np.stack([paper_row(p) for p in given]).astype(float)
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    return 3 * float(np.std([rows[i] @ rows[j] for i, j in pairs]))


def by_hand(
    asked: np.ndarray, rows: np.ndarray, words: np.ndarray, weight: float, mask: np.ndarray
) -> dict[int, float]:
    """The mask's row numbers, best first, and what they score by meaning and words, asked twice.

    As docs/retrieval.md puts it; `tests/test_models.py` asks for it too.
    """
    matched = weight * words / max(words[mask].max(initial=0), 1e-9)

    def ranked(question: np.ndarray) -> dict[int, float]:
        scores = rows @ question + matched
        order = sorted(np.flatnonzero(mask), key=lambda n: (-round(scores[n], 5), n))
        return {int(n): scores[n] for n in order}

    first = list(ranked(asked))[:10]
    counts = [1 / math.log2(place + 1) for place in range(1, len(first) + 1)]
    centre = sum(c * rows[n] for c, n in zip(counts, first, strict=True)) / max(sum(counts), 1e-9)
    return ranked(asked + 0.7 * centre)


def papers_by_hand(
    asked: np.ndarray, words: np.ndarray, given: list[Paper], mask: np.ndarray
) -> dict[str, float]:
    rows = np.stack([paper_row(p) for p in given]).astype(float)
    ranked = by_hand(asked, rows, words, words_weight(given), mask)
    return {given[n].arxiv_id: score for n, score in ranked.items()}


def expected(query: str, given: list[Paper], allowed: list[bool]) -> dict[str, float]:
    """Every allowed paper's score by brute force, best first."""
    words = np.array(bm25([f"{p.title}. {p.abstract}" for p in given], query))
    return papers_by_hand(row(query).astype(float), words, given, np.array(allowed))


def ids(hits: list[index.Hit]) -> list[str]:
    return [hit.arxiv_id for hit in hits]


@pytest.mark.parametrize("query", [QUESTION, "galaxies", "proofs about robots setting 17", "zebra"])
def test_the_answer_is_the_one_of_brute_force(retriever: Retriever, query: str):
    given = papers(COUNT)
    hits = retriever.search(query, 10)
    assert ids(hits) == [*expected(query, given, [not p.withdrawn for p in given])][:10]
    assert [hit.rank for hit in hits] == list(range(1, 11))
    assert all(1 >= a.score >= b.score >= 0 for a, b in pairwise(hits))
    assert hits[0].paper == next(p for p in given if p.arxiv_id == hits[0].arxiv_id)


days = st.none() | st.dates(date(2025, 2, 20), date(2025, 5, 10))


@given(
    query=st.sampled_from(TOPICS),
    k=st.integers(1, COUNT),
    since=days,
    until=days,
    categories=st.sampled_from(
        [None, "cs.CV", ["stat.ML"], ["cs"], ["cs.LG", "stat"], ["math.AG"]]
    ),
    has_code=st.sampled_from([None, True, False]),
    listed_only=st.booleans(),
    include_withdrawn=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_filters_give_exactly_the_matching_papers(
    retriever, query, k, since, until, categories, has_code, listed_only, include_withdrawn
):
    if since and until and since > until:
        since, until = until, since

    def matches(p: Paper) -> bool:
        day = (p.published or min(p.listed_on, default=""))[:10]
        wanted = [categories] if isinstance(categories, str) else categories or []
        return all(
            (
                include_withdrawn or not p.withdrawn,
                has_code is None or has_code == any(repo.own for repo in p.repos),
                not listed_only or p.listed_on,
                not wanted
                or any(c == w or c.split(".")[0] == w for c in p.categories for w in wanted),
                since is None or (day and day >= str(since)),
                until is None or (day and day <= str(until)),
            )
        )

    given = papers(COUNT)
    hits = retriever.search(
        query,
        k,
        since=since,
        until=str(until) if until else None,
        categories=categories,
        has_code=has_code,
        listed_only=listed_only,
        include_withdrawn=include_withdrawn,
    )
    matching = [bool(matches(p)) for p in given]
    assert len(hits) == min(k, sum(matching))
    assert all(matches(hit.paper) for hit in hits)
    assert len(set(ids(hits))) == len(hits)
    # At every place a paper as good as brute force's: papers alike in all their words tie.
    scores = expected(query, given, matching)
    assert [scores[i] for i in ids(hits)] == pytest.approx([*scores.values()][:k], abs=2e-5)


def test_many_questions_are_answered_as_one_by_one(retriever: Retriever):
    questions = [f"{topic} and more" for topic in TOPICS]
    assert retriever.search_many(questions, 5) == [retriever.search(q, 5) for q in questions]
    assert retriever.search_many([], 5) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes here")
def test_a_forked_process_answers_as_its_parent_did(retriever: Retriever):
    answer = [(hit.arxiv_id, hit.score) for hit in retriever.search(QUESTION, 10)]
    child = os.fork()  # as servers do that open a retriever before they fork
    if child == 0:
        again = [(hit.arxiv_id, hit.score) for hit in retriever.search(QUESTION, 10)]
        os._exit(0 if again == answer else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_similar_is_the_same_for_a_papers_own_row_and_words(retriever: Retriever):
    given = papers(COUNT)
    others = np.array([not p.withdrawn and n != 8 for n, p in enumerate(given)])
    texts = [f"{p.title}. {p.abstract}" for p in given]
    assert len(set(tokens(texts[8]))) < 40  # so that all its words tell
    own = " ".join([given[8].title, *dict.fromkeys(tokens(texts[8]))])
    words = np.array(bm25(texts, own))
    best = [*papers_by_hand(paper_row(given[8]).astype(float), words, given, others)][:5]
    assert ids(retriever.similar("2503.00009", 5)) == best
    assert ids(retriever.similar("https://arxiv.org/abs/2503.00009v3", 5)) == best


def test_a_paper_is_found_by_any_spelling_of_its_id(retriever: Retriever):
    for spelling in ("2503.00009", "2503.00009v2", "arXiv:2503.00009", " 2503.00009 "):
        assert retriever.paper(spelling) == papers(9)[8]


@pytest.mark.parametrize("unknown", ["2503.99999", "", "nonsense", "2503.00009999", "\x00"])
def test_an_unknown_id_is_bad_input(retriever: Retriever, unknown: str):
    for ask in (retriever.paper, retriever.similar):
        with pytest.raises(BadInput, match="is no paper of this snapshot"):
            ask(unknown)


@pytest.mark.parametrize(
    ("query", "k", "narrowing", "said"),
    [
        ("", 3, {}, "the question is empty"),
        (" \n\u200b\u2028", 3, {}, "the question is empty"),
        ("word " * 2001, 3, {}, "has 2001 words: give at most 2000"),
        (QUESTION, 0, {}, "k is 0: give a number from 1 to 1000"),
        (QUESTION, 10_000, {}, "k is 10000"),
        (QUESTION, 3, {"since": "yesterday"}, "since='yesterday' is not a date: write it as"),
        (QUESTION, 3, {"until": "2025-02-30"}, "until='2025-02-30' is not a date"),
        (QUESTION, 3, {"since": "2025-03-02", "until": "2025-03-01"}, "swap them"),
    ],
)
def test_bad_input_is_one_clear_line(retriever: Retriever, query, k, narrowing, said):
    for ask in (retriever.search, retriever.related_papers, retriever.related_papers_block):
        with pytest.raises(BadInput) as caught:
            ask(query, k, **narrowing)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_long_question_and_a_large_k_are_answered(retriever: Retriever):
    alive = sum(not p.withdrawn for p in papers(COUNT))
    assert len(retriever.search("hands " * 2000, 1000)) == alive


def test_compatible_spellings_ask_the_same(retriever: Retriever):
    assert retriever.search("Ｄｉﬀｕｓｉｏｎ\u00ad  hands") == retriever.search("Diffusion hands")


def test_what_every_ordinary_question_may_find_is_worked_out_once(tmp_path: Path):
    given = [
        Paper("2503.00001", title="Hands", abstract=None),
        Paper("2503.00002", title="Feet", abstract="About feet."),
        Paper("2503.00003", title="Arms", abstract="About arms.", withdrawn=True),
    ]
    serving = opened(put(tmp_path, given)).opened
    assert serving.findable(Filter()).tolist() == [True, True, False]
    assert serving.findable(Filter(), told=True).tolist() == [False, True, False]
    assert serving.findable(Filter()) is serving.findable(Filter(since=None))
    narrowed = Filter(include_withdrawn=True)
    assert serving.findable(narrowed, told=True).tolist() == [False, True, True]


def test_copies_under_one_title_are_folded_however_many(tmp_path: Path):
    copies = [
        replace(p, title="On  Diffusion: hands!", abstract=f"Copy {n}")
        for n, p in enumerate(papers(700))
    ]
    others = [replace(papers(710)[700 + n], title=f"Something else {n}") for n in range(10)]
    retriever = opened(put(tmp_path, [replace(p, withdrawn=False) for p in [*copies, *others]]))
    hits = retriever.search("on diffusion hands", 11)
    assert len({hit.paper.title for hit in hits}) == len(hits) == 11
    assert hits[0].paper.title == "On  Diffusion: hands!"
    similar = retriever.similar(copies[0].arxiv_id, 20)
    assert sorted(ids(similar)) == [p.arxiv_id for p in others]


def test_the_block_is_made_of_papers_that_have_an_abstract(tmp_path: Path):
    given = [
        Paper("2503.00001", title="Hands", abstract=None),
        Paper("2503.00002", title="Hands and feet", abstract="About hands."),
        Paper("2503.00003", title="Withdrawn hands", abstract="About hands.", withdrawn=True),
    ]
    retriever = opened(put(tmp_path, given))
    assert ids(retriever.search("hands")) == ["2503.00001", "2503.00002"]
    assert retriever.related_papers_block("hands") == block([given[1]])
    assert ids(opened(put(tmp_path, given[:1])).related_papers("hands")) == ["2503.00001"]


def test_the_module_functions_open_the_default_home(tmp_path: Path, monkeypatch):
    put(tmp_path, papers(20))
    monkeypatch.setenv("PAPERFEED_HOME", str(tmp_path))
    monkeypatch.setattr(index.retriever, "_onnx_encoder", lambda: WordEncoder.open)
    index._opened.cache_clear()
    hits = index.related_papers(QUESTION)
    assert ids(hits) == ids(opened(tmp_path).related_papers(QUESTION, 3))
    assert index.related_papers_block(QUESTION, 2) == block([hit.paper for hit in hits[:2]])
    assert index.related_papers(QUESTION, path=tmp_path / "index") == hits
    assert index._opened.cache_info().currsize == 2
    index._opened.cache_clear()


def test_a_new_snapshot_is_noticed_and_a_rollback_too(tmp_path: Path):
    put(tmp_path, papers(20))
    retriever = opened(tmp_path)
    assert len(retriever) == 20
    put(tmp_path, papers(25))
    assert len(retriever) == 25
    assert retriever.paper("2503.00025") == papers(25)[24]
    rollback(tmp_path / "index")
    assert len(retriever) == 20
    fixed = opened(current(tmp_path / "index"))
    put(tmp_path, papers(30))
    assert len(fixed) == 20  # opened on one snapshot, it stays there


def test_a_broken_new_snapshot_leaves_the_old_one_serving(tmp_path: Path, caplog):
    put(tmp_path, papers(20))
    retriever = opened(tmp_path)
    before = retriever.search(QUESTION)
    folder = put(tmp_path, papers(25))
    (folder / "vectors.faiss").write_bytes(b"half")
    with caplog.at_level(logging.WARNING):
        assert retriever.search(QUESTION) == before
        assert retriever.search(QUESTION) == before
    warned = [r.message for r in caplog.records if r.name == "index.retriever"]
    assert len(warned) == 1
    assert warned[0].startswith("000001-")
    assert "goes on serving: vectors.faiss has 4 bytes instead of" in warned[0]
    put(tmp_path, papers(26))
    assert len(retriever) == 26


def test_it_answers_after_its_snapshot_and_current_are_removed(tmp_path: Path, caplog):
    put(tmp_path, papers(20))
    retriever = opened(tmp_path)
    before = retriever.search(QUESTION)
    shutil.rmtree(tmp_path / "index")
    assert retriever.search(QUESTION) == before
    assert retriever.similar("2503.00003")


def test_another_encoder_is_opened_with_its_snapshot(tmp_path: Path):
    put(tmp_path, papers(20))
    folders: list[Path] = []

    def open_encoder(folder: Path) -> WordEncoder:
        folders.append(folder)
        return WordEncoder.open(folder)

    retriever = Retriever.open(tmp_path, encoder=open_encoder)
    put(tmp_path, papers(21))
    assert (len(retriever), len(folders)) == (21, 1)
    put(tmp_path, papers(21), digest="9" * 16)
    assert (retriever.snapshot[:6], len(folders)) == ("000003", 2)


def test_a_snapshot_removed_while_it_is_opened_leaves_the_old_one_serving(
    tmp_path: Path, monkeypatch
) -> None:
    put(tmp_path, papers(20))
    retriever = opened(tmp_path)
    put(tmp_path, papers(25))

    def gone(folder: Path) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(folder / "ids.npy"))

    with monkeypatch.context() as patch:
        patch.setattr(index.retriever.snapshot, "check", gone)
        assert len(retriever) == 20
    put(tmp_path, papers(26))
    assert len(retriever) == 26


def test_a_missing_runtime_is_one_clear_line(tmp_path: Path, monkeypatch):
    put(tmp_path, papers(5))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "index.query_encoder", raising=False)
    with pytest.raises(MissingExtra, match=r"onnxruntime is not installed: .*pip install"):
        Retriever.open(tmp_path)


def test_unknown_filters_are_not_swallowed(retriever: Retriever):
    with pytest.raises(TypeError, match="sinse"):
        retriever.search(QUESTION, 3, sinse="2025-01-01")
    assert Filter(since=None) == Filter()
