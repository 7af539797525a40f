"""Meaning and words to one ranking, led by its own first results; one paper under two ids folded.

What each step gains, and what else was tried: docs/retrieval.md.
"""

from __future__ import annotations

import math
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
Mask = NDArray[np.bool_]
"""(n,) True for the rows that may be found."""

_BEFORE = np.array([-1])
"""A row number less than any."""
_COUNTS = 1 / np.log2(np.arange(2, FIRST + 2, dtype=np.float32))
"""What each of the first results counts for."""
_ABOVE_0 = np.finfo(np.float32).tiny


class Ranking(NamedTuple):
    """Row numbers and their scores, best first."""

    rows: NDArray[np.int64]
    scores: Scores


def top(scores: Scores, count: int, allowed: Mask | None = None) -> Ranking:
    """The best `count` of a score a row, those above 0 only; of equals the lower row first.

    `allowed` is True for the rows that may be among them, all where it is None.
    """
    rows = _best(scores, 2 * count)
    if allowed is not None:
        rows = rows[allowed[rows]]
        if len(rows) < count:  # most are refused, or most are 0
            rows = ((scores > 0) & allowed).nonzero()[0]
    found = scores[rows]
    rows = rows[found >= _reached(found, count)]
    rows = rows[(-scores[rows]).argsort(kind="stable")][:count]
    return Ranking(rows, scores[rows])


def _best(scores: Scores, count: int) -> NDArray[np.int64]:
    """The rows of the best `count` scores above 0, and of others that score no less; ascending.

    What the best of `count` groups reach, the best rows of all do: only groups whose best one does
    are looked into. A group is a column of the scores laid out in lines, which is fastest to scan.
    """
    lines = 1 + math.isqrt(len(scores) // count)
    width = len(scores) // lines
    best = scores[: lines * width].reshape(lines, width).max(axis=0)
    bar = _reached(best, count)
    groups = (best >= bar).nonzero()[0]
    grouped = (groups + width * np.arange(lines)[:, None]).ravel()
    rows = np.concatenate([grouped, np.arange(lines * width, len(scores))])
    above: NDArray[np.int64] = rows[scores[rows] >= bar]
    return above


def _reached(scores: Scores, count: int) -> np.float32:
    """What the best `count` of these score at least: something above 0, if no more than that."""
    place = len(scores) - count
    reached = np.partition(scores, place)[place] if place >= 0 else _ABOVE_0
    return max(reached, _ABOVE_0)


def either(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row numbers in either, ascending, each once."""
    # Not by np.unique, which takes twice as long and may import numpy.ma first.
    rows = np.concatenate([_BEFORE, one, other])
    rows.sort()
    return rows[1:][rows[1:] > rows[:-1]]


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
    first = (-(vectors @ asked + found)).argsort(kind="stable")[:FIRST]
    counts = _COUNTS[: len(first)]
    moved = asked + FEEDBACK * (counts @ vectors[first]) / max(counts.sum(), 1e-9)
    scores = (vectors @ moved + found) / (1 + FEEDBACK + weight)
    order = (-scores).argsort(kind="stable")
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
