"""Inverted lists: bm25s is the oracle for their scores, counting anew for what is taken over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from unittest.mock import patch

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import postings
from index.postings import Postings, count, join, sums_of_few, write

WORDS = [f"w{n}" for n in range(40)]


def made(size: int, seed: int = 0, length: int = 12) -> list[list[str]]:
    """Documents of words, some of them far more common than others."""
    random = np.random.default_rng(seed)
    common = 1 / np.arange(1, len(WORDS) + 1)
    chosen = random.choice(len(WORDS), (size, length), p=common / common.sum())
    return [
        [WORDS[word] for word in row[: 1 + number % length]] for number, row in enumerate(chosen)
    ]


def indexed(documents: list[list[str]], folder: Path) -> Postings:
    write(folder, count(documents))
    return Postings(folder)


@pytest.mark.parametrize(("window", "common"), [(1 << 17, 8), (64, 8), (64, 1), (7, 300)])
def test_scores_are_those_of_bm25s(tmp_path: Path, monkeypatch, window, common) -> None:
    monkeypatch.setattr(postings, "WINDOW", window)
    monkeypatch.setattr(postings, "COMMON", common)
    documents = made(300)
    lists = indexed(documents, tmp_path)
    held = Counter(word for document in documents for word in set(document))
    columns = [word for word in held if held[word] > 300 / common]
    assert np.load(tmp_path / postings.COLUMNS).shape == (len(columns), 300)
    listed = sum(held[word] for word in held if word not in columns)
    assert len(np.load(tmp_path / postings.DOCUMENTS)) == listed  # each entry is kept once
    oracle = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend="numpy")
    oracle.index(documents, show_progress=False)
    assert len(lists) == 300
    for asked in (["w0"], ["w3", "w39"], ["w1", "w1", "w20"], ["nowhere"], WORDS):
        known = [word for word in asked if lists.holding(word)]
        expected = oracle.get_scores(known) if known else np.zeros(300)
        np.testing.assert_allclose(lists.sums(asked), expected, atol=2e-3)


def test_a_stem_is_held_by_as_many_documents_as_have_it(tmp_path: Path) -> None:
    documents = made(50)
    lists = indexed(documents, tmp_path)
    for word in [*WORDS, "", "nowhere", "zzz"]:
        assert lists.holding(word) == sum(word in document for document in documents)


documents = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "ä", "zz", "b-c"]), max_size=6), max_size=8
)


@given(documents, documents, st.randoms())
def test_taking_over_gives_the_bytes_of_counting_all_anew(
    tmp_path_factory, old, new, random
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    write(folder / "old", count(old))
    before = Postings(folder / "old").counted()
    places = [n for n in range(len(old)) if random.random() < 0.7] + [-1] * len(new)
    random.shuffle(places)
    fresh = iter(new)
    now = [next(fresh) if place < 0 else old[place] for place in places]
    write(folder / "joined", join(before, np.array(places, np.int64), count(new)))
    write(folder / "anew", count(now))
    for file in sorted((folder / "anew").iterdir()):
        assert (folder / "joined" / file.name).read_bytes() == file.read_bytes(), file.name


def test_texts_without_any_word_are_no_trouble(tmp_path: Path) -> None:
    for number, documents in enumerate(([], [[], []])):
        lists = indexed(documents, tmp_path / str(number))
        assert len(lists) == len(documents)
        assert lists.sums(["a"]).tolist() == [0.0] * len(documents)


def test_a_word_counts_no_more_than_255_times(tmp_path: Path) -> None:
    lists = indexed([["a"] * 300, ["a"] * 255, ["b"]], tmp_path)
    scores = lists.sums(["a"])
    assert scores[0] == scores[1] > scores[2] == 0


@given(
    documents,
    st.lists(st.sampled_from(["a", "b", "ä", "zz", "nowhere"]), max_size=6),
    st.integers(1, 9),
    st.sampled_from([1, 2, 8, 100]),
)
def test_a_few_documents_in_memory_score_what_lists_of_them_do(
    tmp_path_factory, few, asked, window, common
):
    with patch.multiple(postings, WINDOW=window, COMMON=common):
        lists = indexed(few, tmp_path_factory.mktemp("lists"))
        summed = lists.sums(asked)
    found = sums_of_few([Counter(document) for document in few], asked)
    assert found.shape == (len(few),)
    np.testing.assert_allclose(found, summed, atol=1e-3)


def test_columns_and_windows_change_no_score(tmp_path: Path, monkeypatch) -> None:
    documents = made(500)
    asked = ["w7", "w39", "w12", "w7", *["w0"] * 50, *["w1"] * 50]  # more than 16 bits hold
    whole = indexed(documents, tmp_path / "whole").sums(asked)
    monkeypatch.setattr(postings, "WINDOW", 33)
    monkeypatch.setattr(postings, "COMMON", 1)
    assert indexed(documents, tmp_path / "lists").sums(asked).tolist() == whole.tolist()


@pytest.mark.parametrize(
    "name",
    [postings.DOCUMENTS, postings.COUNTS, postings.SCORES, postings.COLUMNS, postings.FACTS],
)
def test_damaged_lists_are_refused(tmp_path: Path, name) -> None:
    indexed(made(50), tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises((OSError, ValueError)):
        Postings(tmp_path)


def test_columns_of_other_lists_are_refused(tmp_path: Path) -> None:
    indexed(made(50), tmp_path / "one")
    indexed(made(60), tmp_path / "other")
    (tmp_path / "other" / postings.COLUMNS).replace(tmp_path / "one" / postings.COLUMNS)
    with pytest.raises(ValueError, match="columns"):
        Postings(tmp_path / "one")
