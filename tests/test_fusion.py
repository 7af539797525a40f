from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from index.fusion import Ranking, fold, fuse, min_max, top


def ranking(**scores: float) -> Ranking:
    """`r3=0.5` says that row 3 scored 0.5."""
    rows = sorted(scores, key=lambda name: -scores[name])
    return Ranking(
        np.array([int(name[1:]) for name in rows], np.int64),
        np.array([scores[name] for name in rows], np.float32),
    )


@given(hnp.arrays(np.float32, st.integers(0, 60), elements=st.integers(0, 9)), st.integers(1, 70))
def test_top_is_the_head_of_a_stable_sort(scores, count):
    expected = [row for row in np.argsort(-scores, kind="stable").tolist() if scores[row] > 0]
    found = top(scores, count)
    assert found.rows.tolist() == expected[:count]
    assert found.scores.tolist() == [scores[row] for row in expected[:count]]


def test_min_max_spreads_over_zero_to_one():
    assert min_max(np.array([4, 2, 3], np.float32)).tolist() == [1, 0, 0.5]
    assert min_max(np.array([7, 7], np.float32)).tolist() == [1, 1]
    assert min_max(np.array([], np.float32)).tolist() == []


def test_fuse_weighs_both_and_gives_nothing_for_absence():
    dense = ranking(r1=0.9, r2=0.7, r3=0.5)
    words = ranking(r3=20.0, r4=15.0, r1=10.0)
    fused = fuse(dense, words, weight=0.6)
    # row 1: 0.6*1 + 0.4*0; row 2: 0.6*0.5; row 3: 0.6*0 + 0.4*1; row 4: 0.4*0.5
    assert fused.rows.tolist() == [1, 3, 2, 4]
    np.testing.assert_allclose(fused.scores, [0.6, 0.4, 0.3, 0.2], rtol=1e-6)


def test_fuse_with_nothing_on_one_side_keeps_the_other_order():
    dense = ranking(r5=0.9, r2=0.7, r3=0.5)
    assert fuse(dense, ranking()).rows.tolist() == [5, 2, 3]
    assert fuse(ranking(), ranking()).rows.tolist() == []


def test_fold_keeps_the_best_row_of_each_title():
    titles = np.array([7, 8, 7, 9, 8], np.uint64)
    folded = fold(ranking(r4=0.9, r2=0.8, r1=0.7, r0=0.6, r3=0.5), titles)
    assert folded.rows.tolist() == [4, 2, 3]
    np.testing.assert_allclose(folded.scores, [0.9, 0.8, 0.5])
