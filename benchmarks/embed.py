"""Documents a second of our encoder beside `SentenceTransformer.encode` as it comes.

They take turns, so that other work on the machine hits all alike. On one thread, too: where the
processor is shared, all of torch's threads may be slower than one, and the comparison flatter us.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks import plots, setting
from benchmarks.model import loaded
from benchmarks.report import processor, show, status, table, wanted
from benchmarks.setting import Rows
from index.text import document

DOCUMENTS, ROUNDS = 512, 5
OURS, AS_IT_COMES = "paperfeed", "sentence-transformers"
ONE_THREAD = "the same on one thread"

Encode = Callable[[Sequence[str]], Rows]


class Speeds(NamedTuple):
    """What the rounds gave."""

    per_second: dict[str, list[float]]
    """Documents a second, a round each."""
    cosines: Rows
    """(n,) of ours with the other's row of each document."""

    def times(self, other: str = AS_IT_COMES) -> float:
        """How many times as fast ours is: the median over rounds, each a ratio of its own."""
        pairs = zip(self.per_second[OURS], self.per_second[other], strict=True)
        return median(ours / theirs for ours, theirs in pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the documents that the command line names and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.embed", description=__doc__)
    setting.add_arguments(parser)
    parser.set_defaults(limit=DOCUMENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    asked = parser.parse_args(arguments)
    return status(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    chosen = setting.chosen(asked)
    texts = [document(paper.title, paper.abstract) for paper in chosen.papers]
    speeds = race(_encoders(), texts, asked.rounds)
    rows = [
        [name, median(each), min(each), max(each), speeds.times(name)]
        for name, each in speeds.per_second.items()
    ]
    head = ["encoder", "documents/s", "slowest round", "fastest", "paperfeed is times as fast"]
    told = f"{len(texts):,} titles and abstracts of {chosen.name}, {asked.rounds} rounds in turns."
    same = float(speeds.cosines.mean())
    alike = f"Cosine of the two rows: mean {same:.5f}, least {speeds.cosines.min():.5f}."
    quick = not {"avx512_bf16", "amx_bf16"}.isdisjoint(processor()[1])
    kept = [
        wanted("times as fast as it comes", speeds.times(), 3.5 if quick else 1.0, least=True),
        wanted("mean cosine, in thousandths", 1000 * same, 999, least=True),
    ]
    show("embed", told, table(head, rows), alike, "\n".join(kept), write=asked.write)
    if asked.write:
        shown = {name: median(each) for name, each in speeds.per_second.items()}
        plots.bars("embed", "documents embedded a second", shown)


def race(encoders: Mapping[str, Encode], texts: Sequence[str], rounds: int) -> Speeds:
    """All encode all texts, in turns, so many times; once before, a few, to be loaded."""
    per_second: dict[str, list[float]] = {name: [] for name in encoders}
    rows: dict[str, Rows] = {name: encode(texts[:32]) for name, encode in encoders.items()}
    for _ in range(rounds):
        for name, encode in encoders.items():
            began = time.perf_counter()
            rows[name] = encode(texts)
            per_second[name].append(len(texts) / (time.perf_counter() - began))
    return Speeds(per_second, np.einsum("nd,nd->n", rows[OURS], rows[AS_IT_COMES]))


def _encoders() -> dict[str, Encode]:
    import torch

    from index.encoder import DEFAULT_MODEL, Encoder
    from index.model_folder import ModelFolder

    model = loaded(ModelFolder.locate(DEFAULT_MODEL).path)

    def as_it_comes(texts: Sequence[str]) -> Rows:
        return np.asarray(model.encode(list(texts), show_progress_bar=False), np.float32)

    def on_one_thread(texts: Sequence[str]) -> Rows:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return as_it_comes(texts)
        finally:
            torch.set_num_threads(threads)

    return {OURS: Encoder().encode, AS_IT_COMES: as_it_comes, ONE_THREAD: on_one_thread}


if __name__ == "__main__":
    sys.exit(main())
