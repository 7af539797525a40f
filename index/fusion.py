"""Meaning and words to one ranking, led by its own first results; one paper under two ids folded.

What each step gains, and what else was tried: docs/retrieval.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WORDS = 3.0
"""What the best match of words counts for, in spreads of the index's inner products."""
LEAST_SPREAD = 0.01
"""So that words count even where every row is the same."""
FIRST = 10
"""How many first results move the question."""
FEEDBACK = 0.7
"""How far they move it: their mean counts for this much beside the question's own row."""
POOL = 100
"""How many candidates meaning and words each bring in, at least."""

Row = NDArray[np.float32]
"""(d,) a unit row."""
Rows = NDArray[np.float32]
"""(n, d) unit rows."""
Scores = NDArray[np.float32]


class Ranking(NamedTuple):
    """Row numbers and their scores, best first."""

    rows: NDArray[np.int64]
    scores: Scores


def top(scores: Scores, count: int) -> Ranking:
    """The best `count` of a score a row, those above 0 only; of equals the lower row first."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > count:
        bar = np.partition(scores[rows], len(rows) - count)[len(rows) - count]
        rows = rows[scores[rows] >= bar]
    rows = rows[np.argsort(-scores[rows], kind="stable")][:count]
    return Ranking(rows, scores[rows])


def either(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row numbers in either, ascending, each once."""
    # With return_index, for without it numpy imports numpy.ma first, a tenth of a second.
    rows, _ = np.unique(np.concatenate([one, other]), return_index=True)
    return rows


def words_weight(sample: Rows) -> float:
    """What the best match of words counts for, in inner products of this index's encoder.

    Encoders differ in how far apart they lay unlike texts; `sample` are some rows of the index.
    """
    products = (sample @ sample.T)[~np.eye(len(sample), dtype=bool)]
    return WORDS * max(LEAST_SPREAD, float(products.std()) if len(products) else 0.0)


def rank(
    rows: NDArray[np.int64], vectors: Rows, asked: Row, words: Scores, weight: float
) -> Ranking:
    """The candidates by meaning and words, the question moved towards the first of them.

    `vectors` and `words` are the candidates' rows and scores of words. Scores are in [0, 1].
    """
    found = weight * words / max(float(words.max(initial=0)), 1e-9)
    first = np.argsort(-(vectors @ asked + found), kind="stable")[:FIRST]
    counts = 1 / np.log2(np.arange(2, len(first) + 2, dtype=np.float32))
    moved = asked + FEEDBACK * (counts @ vectors[first]) / max(counts.sum(), 1e-9)
    scores = (vectors @ moved + found) / (1 + FEEDBACK + weight)
    order = np.argsort(-scores, kind="stable")
    return Ranking(rows[order], scores[order].clip(0, 1))


def reorder(ranking: Ranking, scores: NDArray[np.float64]) -> Ranking:
    """The ranking with its first rows in the order of new scores in [0, 1], one for each of them.

    The rest follow in the order they had, and score no more than the last of the first.
    """
    order, count = np.argsort(-scores, kind="stable"), len(scores)
    rows = np.concatenate([ranking.rows[order], ranking.rows[count:]])
    falling = np.concatenate([scores[order], ranking.scores[count:]]).astype(np.float32)
    return Ranking(rows, np.minimum.accumulate(falling))


def fold(ranking: Ranking, titles: NDArray[np.uint64]) -> Ranking:
    """The ranking with only the best row of each title; `titles` holds one hash a row."""
    _, first = np.unique(titles[ranking.rows], return_index=True)
    first.sort()
    return Ranking(ranking.rows[first], ranking.scores[first])
