"""A small deterministic encoder for tests of the index: no torch, no model, no network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.paper import Paper, Repo

DIMENSION = 32
Rows = NDArray[np.float32]


def row(text: str) -> Rows:
    """The normalised sum of one pseudo-random vector a word."""
    total = np.full(DIMENSION, 1e-3)
    for word in re.findall(r"\w+", text.lower()):
        total += _of_word(word)
    return np.asarray(total / np.linalg.norm(total), np.float32)


@cache
def _of_word(word: str) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=DIMENSION)


def paper_row(paper: Paper) -> Rows:
    """What the index keeps: the row of title and abstract, with 0.4 of the title's added."""
    mixed = row(f"{paper.title}. {paper.abstract}") + 0.4 * row(paper.title or "")
    return np.asarray(mixed / np.linalg.norm(mixed), np.float32)


class WordEncoder:
    """Both sides of the index's encoder: documents in batches, and questions one by one."""

    name = "words"
    dimension = DIMENSION
    batch = 4

    def __init__(self, digest: str = "f" * 16) -> None:
        self.digest = digest
        self.exports = 0

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Rows]]:
        for start in range(0, len(texts), self.batch):
            places = list(range(start, min(start + self.batch, len(texts))))
            yield places, np.stack([row(texts[place]) for place in places])

    def export(self, folder: Path) -> None:
        self.exports += 1
        (folder / "encoder.json").write_text(json.dumps({"digest": self.digest}))
        (folder / "model.onnx").write_bytes(b"not really")

    @classmethod
    def open(cls, folder: Path) -> WordEncoder:
        return cls(json.loads((folder / "encoder.json").read_text())["digest"])

    def encode(self, query: str) -> Rows:
        return row(query)

    def encode_many(self, queries: Sequence[str]) -> Rows:
        return np.stack([row(query) for query in queries])


class MemoryCache:
    """Rows by text, as index.vector_cache keeps them on disk."""

    def __init__(self) -> None:
        self.held: dict[str, Rows] = {}

    def known(self, texts: Sequence[str]) -> tuple[Rows, list[int]]:
        absent = [place for place, text in enumerate(texts) if text not in self.held]
        nothing = np.zeros_like(row(""))
        return np.stack([self.held.get(text, nothing) for text in texts]), absent

    def add(self, texts: Sequence[str], rows: Rows) -> None:
        self.held.update(zip(texts, rows, strict=True))

    def rows(self, texts: Sequence[str]) -> Rows:
        return np.stack([self.held[text] for text in texts])


TOPICS = ("diffusion", "hands", "robots", "graphs", "speech", "proofs", "galaxies")


def papers(count: int) -> list[Paper]:
    """So many papers in id order, no two with the same title."""
    return [paper(number) for number in range(count)]


def paper(number: int) -> Paper:
    topic, other = TOPICS[number % 7], TOPICS[(number // 7) % 7]
    return Paper(
        arxiv_id=f"2503.{number + 1:05d}",
        version=1 + number % 2 or None,
        title=f"On {topic} and {other}, part {number}",
        abstract=f"We study {topic} with {other} in setting number {number} of many.",
        authors=("Ada Lovelace", f"Author {number}"),
        categories=("cs.CV", "cs.LG") if number % 3 else ("stat.ML",),
        published=f"2025-03-{1 + number % 28:02d}T10:00:00Z" if number % 5 else None,
        listed_on=(f"2025-04-{1 + number % 28:02d}",) if number % 2 else (),
        repos=(Repo(f"owner/code{number}", "comment", own=number % 4 == 0),) * (number % 2 == 0),
        withdrawn=number % 11 == 10,
        upvotes=number,
    )
