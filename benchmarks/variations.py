"""More papers than there are: each further one is made of two, its words and its row alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.setting import Rows, parts
from index.text import document
from index.vector_cache import VectorCache
from ingest.paper import Paper

OTHER, NOISE = 0.6, 0.5
"""What the second paper's row, and a random direction, count for beside the first paper's row."""
_STEP = 7919  # a prime: the partners of one paper are all different, and far apart

Numbers = NDArray[np.int64]


def mixed_rows(rows: Rows, numbers: Numbers, seed: int) -> Rows:
    """(len(numbers), d) the rows themselves below their count, beyond it mixtures of two."""
    first, second = _pair(numbers, len(rows))
    further = (numbers >= len(rows)).astype(np.float32)[:, None]
    draw = np.random.default_rng([seed, int(numbers[0])])
    noise = draw.standard_normal((len(numbers), rows.shape[1]), np.float32)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = rows[first] + further * (OTHER * rows[second] + noise)
    unit: Rows = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit


class Variations:
    """`count` papers: the given ones, then, with greater ids, variations of them."""

    def __init__(self, papers: list[Paper], titles: Rows, documents: Rows, count: int) -> None:
        self._given = papers
        self._titles, self._documents = titles, documents
        self._last_id = papers[-1].arxiv_id
        self.count = count

    def __iter__(self) -> Iterator[Paper]:
        return map(self.paper, range(self.count))

    def paper(self, number: int) -> Paper:
        """The paper at this place."""
        if number < len(self._given):
            return self._given[number]
        places = (place.item() for place in _pair(np.array([number]), len(self._given)))
        first, second = (self._given[place] for place in places)
        title = _halves(first.title or "", second.title or "", " ")
        abstract = _halves(first.abstract or "", second.abstract or "", ". ")
        return Paper(f"{self._last_id}.{number:08}", title=title, abstract=abstract)

    def keep(self, cache: VectorCache) -> None:
        """Put the rows of all titles and documents into the cache, part by part."""
        for part in parts(self.count):
            numbers = np.arange(part.start, min(part.stop, self.count))
            papers = [self.paper(number) for number in numbers.tolist()]
            texts = [document(paper.title, paper.abstract) for paper in papers]
            cache.add([p.title or "" for p in papers], mixed_rows(self._titles, numbers, 0))
            cache.add(texts, mixed_rows(self._documents, numbers, 1))


def _pair(numbers: Numbers, given: int) -> tuple[Numbers, Numbers]:
    """The places of the two papers that each is made of."""
    first = numbers % given
    return first, (first + numbers // given * _STEP) % given


def _halves(one: str, other: str, between: str) -> str:
    """The first half of one text and the second half of the other."""
    ours, theirs = one.split(between), other.split(between)
    return between.join(ours[: (len(ours) + 1) // 2] + theirs[len(theirs) // 2 :])
