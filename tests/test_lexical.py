from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.lexical import Before, Lexical, asked, build, tokens

TEXTS = [
    "Diffusion models draw hands with six fingers",
    "Six robots draw diagrams; the robots' diagrams are graphs",
    "",
    "The of and",
    "Graph neural networks for GPT-4 and GPT-3.5",
    "Fingers, fingers, fingers and hands",
]


def bm25(texts: list[str], query: str, k1: float = 1.2, b: float = 0.75) -> list[float]:
    """BM25 in Lucene's form, as its definition reads."""
    documents = [Counter(tokens(text)) for text in texts]
    average = sum(d.total() for d in documents) / len(documents)

    def weight(word: str, document: Counter[str]) -> float:
        holding = sum(word in d for d in documents)
        idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
        return (
            idf * document[word] / (document[word] + k1 * (1 - b + b * document.total() / average))
        )

    return [sum(weight(w, d) for w in tokens(query) if w in d) for d in documents]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Extra Fingers", ["extra", "finger"]),
        ("What is the GPT-4?", ["gpt-4", "gpt", "4"]),
        ("Llama 3.1-8B", ["llama", "3-1-8b", "3", "1", "8b"]),
        ("state-of-the-art", ["state-of-the-art", "state", "art"]),
        ("ﬁne-tuning", ["fine-tun", "fine", "tune"]),
        ("Ｗｉｄｅ", ["wide"]),
        ("model's", ["model"]),
        ("snake_case x", ["snake", "case", "x"]),
        ("图像 生成", ["图像", "生成"]),
        (" ,.;-", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


@given(st.text())
def test_any_text_gives_clean_tokens(text):
    assert all(token and not token.isspace() for token in tokens(text))
    assert tokens(text) == tokens(f" {text} ")


def test_threads_may_tokenise_at_once():
    texts = [f"running tests number {n} of the generalising networks" for n in range(300)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokens, texts)) == list(map(tokens, texts))


@pytest.mark.parametrize(
    "query", ["hands fingers", "robots ROBOTS", "gpt-4", "graph", "unheard", ""]
)
def test_scores_are_bm25_by_definition(tmp_path: Path, query):
    assert build(TEXTS, tmp_path / "words") == len(TEXTS)
    lexical = Lexical(tmp_path / "words")
    assert len(lexical) == len(TEXTS)
    np.testing.assert_allclose(lexical.scores(query), bm25(TEXTS, query), atol=1e-3)


def test_the_same_texts_give_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        build(TEXTS, tmp_path / name)
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_texts_that_an_earlier_index_holds_are_taken_over(tmp_path: Path):
    build(TEXTS[:4], tmp_path / "before")
    rows = np.array([3, -1, 0, 1, -1, 2])
    fresh = [TEXTS[4], TEXTS[5]]
    assert build(fresh, tmp_path / "joined", Before(tmp_path / "before", rows)) == 6
    build([TEXTS[3], TEXTS[4], TEXTS[0], TEXTS[1], TEXTS[5], TEXTS[2]], tmp_path / "anew")
    for file in (tmp_path / "anew").iterdir():
        assert (tmp_path / "joined" / file.name).read_bytes() == file.read_bytes()


def test_texts_without_any_word_are_no_trouble(tmp_path: Path):
    build(["", "the"], tmp_path / "words")
    assert Lexical(tmp_path / "words").scores("the words").tolist() == [0, 0]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which papers studied hands?", ["studi", "hand"]),  # a verb tells what is wanted
        ("Any research papers on public health", ["public", "health"]),  # not "publication"
        ("reference-free evaluation", ["reference-fre", "refer", "free", "evalu"]),
        ("referring expressions, working memory", ["refer", "express", "work", "memori"]),
        ("Research paper", ["research", "paper"]),  # nothing else would be left
        ("the", []),
    ],
)
def test_a_question_is_searched_by_what_tells_papers_apart(question, expected):
    assert asked(question) == expected


def test_the_most_telling_words_are_frequent_here_and_rare_elsewhere(tmp_path: Path):
    build(TEXTS, tmp_path / "words")
    lexical = Lexical(tmp_path / "words")
    # Of 6 texts, draw stands in 2, robot and model in 1; galaxies in none, so they find nothing.
    text = "The robots draw, draw and draw galaxies of models"
    weights = {"draw": 3 * math.log(1 + 6 / 2), "robot": math.log(1 + 6), "model": math.log(1 + 6)}
    assert lexical.telling(text, 9) == sorted(weights, key=weights.__getitem__, reverse=True)
    assert lexical.telling(text, 1) == ["draw"]
    assert lexical.telling("galaxies", 9) == []


def test_a_stem_counts_as_often_as_it_is_given(tmp_path: Path):
    build(TEXTS, tmp_path / "words")
    lexical = Lexical(tmp_path / "words")
    twice = lexical.sums(["draw", "draw", "robot", "unheard"])
    expected = 2 * lexical.scores("draw") + lexical.scores("robots")
    np.testing.assert_allclose(twice, expected, rtol=1e-5)
