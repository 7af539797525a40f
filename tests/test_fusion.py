from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from index.fusion import Ranking, either, fold, rank, reorder, top, words_weight


def ranking(**scores: float) -> Ranking:
    """`r3=0.5` says that row 3 scored 0.5."""
    rows = sorted(scores, key=lambda name: -scores[name])
    return Ranking(
        np.array([int(name[1:]) for name in rows], np.int64),
        np.array([scores[name] for name in rows], np.float32),
    )


@given(
    hnp.arrays(np.float32, st.integers(0, 60), elements=st.integers(0, 9)),
    st.integers(1, 70),
    st.none() | st.integers(0, 2**60 - 1),
)
def test_top_is_the_head_of_a_stable_sort(scores, count, bits):
    allowed = None if bits is None else np.array([bits >> n & 1 for n in range(len(scores))], bool)
    expected = [
        row
        for row in np.argsort(-scores, kind="stable").tolist()
        if scores[row] > 0 and (allowed is None or allowed[row])
    ]
    found = top(scores, count, allowed)
    assert found.rows.tolist() == expected[:count]
    assert found.scores.tolist() == [scores[row] for row in expected[:count]]


@pytest.mark.parametrize("refused", [0, 0.1, 0.9, 0.999, 1])
def test_top_of_many_is_the_head_of_a_stable_sort(refused):
    draw = np.random.default_rng(0)
    scores = np.maximum(draw.normal(size=20_000), 0).round(2).astype(np.float32)
    allowed = draw.random(20_000) >= refused
    expected = np.argsort(-np.where(allowed, scores, 0), kind="stable")[:100]
    expected = expected[(allowed & (scores > 0))[expected]]
    assert top(scores, 100, allowed).rows.tolist() == expected.tolist()


def test_fold_keeps_the_best_row_of_each_title():
    titles = np.array([7, 8, 7, 9, 8], np.uint64)
    folded = fold(ranking(r4=0.9, r2=0.8, r1=0.7, r0=0.6, r3=0.5), titles)
    assert folded.rows.tolist() == [4, 2, 3]
    np.testing.assert_allclose(folded.scores, [0.9, 0.8, 0.5])


def test_either_holds_each_row_once():
    assert either(np.array([7, 2]), np.array([9, 2, 1])).tolist() == [1, 2, 7, 9]
    assert either(np.array([0]), np.array([], np.int64)).tolist() == [0]
    assert either(np.array([], np.int64), np.array([], np.int64)).tolist() == []


def test_words_count_three_spreads_of_unlike_rows():
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    # The inner products of different rows: 0, 0.6, 0.8, each twice.
    assert words_weight(rows) == pytest.approx(3 * np.std([0, 0.6, 0.8]))
    assert words_weight(rows[:1]) == words_weight(np.repeat(rows[:1], 5, axis=0)) == 0.03


def test_rank_moves_the_question_towards_the_first_results():
    asked = np.array([1, 0, 0], np.float32)
    rows = np.array([4, 6, 9], np.int64)
    vectors = np.array([[0.8, 0.6, 0], [0.6, 0, 0.8], [0.6, 0.8, 0]], np.float32)
    words = np.array([5.0, 0.0, 0.0], np.float32)
    ranked = rank(rows, vectors, asked, words, weight=0.5)
    # 6 and 9 are equally near to the question itself, 9 much nearer to the first result, 4.
    assert ranked.rows.tolist() == [4, 9, 6]
    counts = np.array([1, 1 / math.log2(3), 1 / 2])
    centre = counts @ vectors / counts.sum()
    expected = vectors @ (asked + 0.7 * centre) + 0.5 * np.array([1, 0, 0])
    np.testing.assert_allclose(ranked.scores, expected[[0, 2, 1]] / 2.2, rtol=1e-5)


unit = st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3), min_size=4, max_size=4)


@given(st.lists(unit, max_size=30), unit, st.integers(0, 5), st.data())
def test_rank_gives_every_candidate_once_with_falling_scores_in_0_to_1(rows, asked, most, data):
    vectors = np.array(rows, np.float32).reshape(-1, 4)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    question = np.array(asked, np.float32) / np.float32(np.linalg.norm(asked))
    scores = data.draw(st.lists(st.floats(0, most), min_size=len(rows), max_size=len(rows)))
    ranked = rank(np.arange(len(rows)), vectors, question, np.array(scores, np.float32), 0.3)
    assert sorted(ranked.rows.tolist()) == list(range(len(rows)))
    assert all(1 >= a >= b >= 0 for a, b in zip(ranked.scores, ranked.scores[1:], strict=False))


def test_rank_of_nothing_is_nothing():
    nothing = np.zeros(0, np.float32)
    ranked = rank(
        np.zeros(0, np.int64), np.zeros((0, 3), np.float32), np.ones(3, np.float32), nothing, 1
    )
    assert ranked.rows.tolist() == []


@given(
    st.lists(st.floats(0, 1, width=32), max_size=40).map(lambda s: sorted(s, reverse=True)),
    st.lists(st.floats(0, 1), max_size=40),
)
def test_reorder_sorts_the_first_and_keeps_the_rest_below(scores, said):
    said = said[: len(scores)]
    before = Ranking(np.arange(len(scores))[::-1] + 5, np.array(scores, np.float32))
    after = reorder(before, np.array(said, np.float64))
    first = sorted(range(len(said)), key=lambda place: -said[place])
    order = [*first, *range(len(said), len(scores))]
    assert after.rows.tolist() == [before.rows[place] for place in order]
    lowest = min(said, default=1.0)
    expected = [said[p] for p in first] + [min(s, lowest) for s in scores[len(said) :]]
    np.testing.assert_allclose(after.scores, expected, rtol=1e-6, atol=1e-30)
