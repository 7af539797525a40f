"""How a question's time, its recall and the room a paper takes grow with the number of papers.

Beyond the papers there are, each is made of two of them: see `benchmarks.variations`. Each size is
measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from benchmarks import plots, setting
from benchmarks.peers import K
from benchmarks.report import peak_mb, show, status, table, wanted
from benchmarks.setting import CHUNK, Made, Rows, Setting
from benchmarks.variations import Variations
from flows.progress import progress, say
from index import Retriever
from index.build import DocumentEncoder, publish
from index.opened import Opened, OpenEncoder
from index.vector_cache import VectorCache
from ingest.errors import BadInput

SIZES = "10000,51218,200000,1000000"
WARM_UP = 20
_TIE = 1e-4
"""Inner products of rows in half precision this near are a tie: either row is a right answer."""


class Scaled(NamedTuple):
    """What one size showed."""

    papers: int
    p50_ms: float
    p99_ms: float
    recall_at_10: float
    """Of the rows found by meaning, against every row compared, over the questions."""
    bytes_a_paper: int
    """Of the snapshot, without the query encoder, which all snapshots share."""
    publish_seconds: float
    peak_mb: int
    faiss: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the sizes that the command line names and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    setting.add_arguments(parser)
    parser.add_argument("--sizes", default=SIZES, help=f"numbers of papers, {SIZES} if left out")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked = parser.parse_args(given)
    return status(lambda: _one(asked) if asked.one else _all(asked, given))


def _all(asked: argparse.Namespace, given: list[str]) -> None:
    sizes = _numbers(asked.sizes)
    measured = []
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.scale", *given, "--one", str(size)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 -- our own
        measured.append(Scaled(**json.loads(done.stdout)))
        say(str(measured[-1]))
    head = ["papers", "p50 ms", "p99 ms", "recall@10", "bytes a paper", "publish s", "peak MB"]
    parts = [table([*head, "FAISS"], measured), "\n".join(promises(measured))]
    show("scale", *parts, write=asked.write)
    if asked.write:
        series = {"p50": [one.p50_ms for one in measured], "p99": [one.p99_ms for one in measured]}
        plots.lines("scale", "one question, from string to block: ms", sizes, series)


def _one(asked: argparse.Namespace) -> None:
    from index.encoder import Encoder

    encoder = Encoder()
    chosen = setting.chosen(asked)
    if asked.one < len(chosen.papers):
        chosen = setting.limited(chosen, asked.one)
    made = setting.embedded(chosen, asked.home, encoder)
    with TemporaryDirectory(dir=asked.home) as folder:
        scaled = measure(chosen, made, asked.one, Path(folder), encoder)
    json.dump(scaled._asdict(), sys.stdout)


def measure(
    chosen: Setting,
    made: Made,
    count: int,
    home: Path,
    encoder: DocumentEncoder,
    open_encoder: OpenEncoder | None = None,
) -> Scaled:
    """Publish so many papers in the home and ask them all questions."""
    papers = Variations(chosen.papers, made.titles, made.documents, count)
    cache = VectorCache.open(home / "vectors", encoder.digest, encoder.dimension)
    papers.keep(cache)
    # The first snapshot of a home exports the query encoder, which no size changes.
    publish(home / "index", chosen.papers[:WARM_UP], encoder, cache)
    began = time.perf_counter()
    with progress(f"{count} papers", count) as advance:
        published = publish(home / "index", papers, encoder, cache, progress=advance)
    seconds = time.perf_counter() - began
    peak = peak_mb()
    retriever = Retriever.open(home, encoder=open_encoder)
    texts = [query.text for query in chosen.queries]
    took = question_millis(retriever, texts)
    opened = retriever.opened
    return Scaled(
        papers=published.papers,
        p50_ms=median(took),
        p99_ms=float(np.percentile(took, 99)),
        recall_at_10=recall(opened, np.stack([opened.encoder.encode(text) for text in texts])),
        bytes_a_paper=snapshot_bytes(published.path) // published.papers,
        publish_seconds=seconds,
        peak_mb=peak,
        faiss=opened.manifest.faiss,
    )


def question_millis(retriever: Retriever, questions: Sequence[str]) -> list[float]:
    """Milliseconds of each question, from string to block, after a few that are not counted."""
    for question in questions[:WARM_UP]:
        retriever.related_papers_block(question, K)
    took = []
    for question in questions:
        began = time.perf_counter()
        retriever.related_papers_block(question, K)
        took.append(1000 * (time.perf_counter() - began))
    return took


def recall(opened: Opened, asked: Rows) -> float:
    """The share of each question's nearest ten rows that the index finds; by numpy."""
    vectors, count = opened.vectors, len(opened.papers)
    depth = min(10, count)
    best = np.full((len(asked), depth), -np.inf, np.float32)
    for start in range(0, count, CHUNK):
        rows = vectors.rows(np.arange(start, min(start + CHUNK, count)))
        best = np.sort(np.concatenate([best, asked @ rows.T], axis=1), axis=1)[:, -depth:]
    found = [vectors.rows(vectors.search(row, depth)[0]) @ row for row in asked]
    right = sum((near >= bar - _TIE).sum() for near, bar in zip(found, best[:, 0], strict=True))
    return float(right / best.size)


def snapshot_bytes(folder: Path) -> int:
    """What a snapshot takes on disk, without the query encoder, which all snapshots share."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if path.parent.name != "encoder")


def promises(measured: Sequence[Scaled]) -> list[str]:
    """What was promised, for the sizes that it was promised for."""
    found = [
        wanted(f"recall@10 of {one.papers:,}", one.recall_at_10, 0.99, least=True)
        for one in measured
    ]
    quick = [
        wanted("p50 ms of a question among a million", one.p50_ms, 12)
        for one in measured
        if one.papers >= 1_000_000
    ]
    return found + quick


def _numbers(told: str) -> list[int]:
    try:
        sizes = [int(size) for size in told.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise BadInput(f"--sizes is {told!r}: give numbers of papers with commas between")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
