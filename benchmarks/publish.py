"""A night that changes 1,000 papers of many: how long its snapshot takes, and what room.

The catalogue, the vectors of all papers and the first snapshot are made beforehand; the night is a
process of its own. It embeds the changed papers with the real encoder: that time is told apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import evening, setting
from benchmarks.report import peak_mb, show, status, table, wanted
from benchmarks.scale import snapshot_bytes
from benchmarks.setting import Rows
from flows.progress import say
from index.build import DocumentEncoder, publish
from index.vector_cache import VectorCache
from ingest.catalogue import all_papers, merge_owed, open_catalogue
from ingest.layout import Home

PAPERS, CHANGED = 120_000, 1_000
"""Half of the changed ones are new, half have another abstract."""


class Night(NamedTuple):
    """What the night's process showed."""

    papers: int
    vectors_made: int
    seconds: float
    """In all."""
    embedding: float
    """Seconds of these in which the encoder loaded its model and worked."""
    peak_mb: int
    bytes_a_paper: int
    """Of the snapshot, without the query encoder, which all snapshots share."""
    whole_bytes_a_paper: int
    """With it."""

    @property
    def beside(self) -> float:
        """Seconds beside the embedding."""
        return self.seconds - self.embedding


class Timed:
    """An encoder that knows how long it worked."""

    def __init__(self, encoder: DocumentEncoder) -> None:
        self._encoder = encoder
        self.name, self.digest = encoder.name, encoder.digest
        self.dimension = encoder.dimension
        self.export = encoder.export
        self.seconds = 0.0

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[int], Rows]]:
        """As the encoder's, without the time that the batches are worked with."""
        began = time.perf_counter()
        for batch in self._encoder.batches(texts):
            self.seconds += time.perf_counter() - began
            yield batch
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a home, let the night run in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(prog="benchmarks.publish", description=__doc__)
    setting.add_arguments(parser)
    parser.add_argument("--papers", type=int, default=PAPERS, metavar="N", help=f"{PAPERS:,}")
    parser.add_argument("--changed", type=int, default=CHANGED, metavar="N", help=f"{CHANGED:,}")
    parser.add_argument("--night", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    return status(lambda: _night(asked.night) if asked.night else _run(asked))


def _run(asked: argparse.Namespace) -> None:
    from index.encoder import Encoder

    encoder = Encoder()
    made = setting.embedded(setting.chosen(asked), asked.home, encoder)
    with TemporaryDirectory(dir=asked.home) as folder:
        evening.prepare(
            Home(Path(folder)), evening.records(asked.papers), asked.changed, made, encoder
        )
        say("the night begins")
        command = [sys.executable, "-m", "benchmarks.publish", "--night", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 -- our own
    night = Night(**json.loads(done.stdout))
    told = f"A night that changes {asked.changed:,} of {night.papers:,} papers."
    head = ["s in all", "s embedding", "s beside it", "peak MB", "bytes a paper", "with encoder"]
    sizes = night.bytes_a_paper, night.whole_bytes_a_paper
    row = [night.seconds, night.embedding, night.beside, night.peak_mb, *sizes]
    parts = [told, table(head, [row])]
    if asked.papers >= PAPERS:
        parts.append("\n".join(promises(night)))
    show("publish", *parts, write=asked.write)


def night(home: Home, open_encoder: Callable[[], DocumentEncoder]) -> Night:
    """Publish what the catalogue holds, as a night does once it has collected."""
    began = time.perf_counter()
    encoder = Timed(open_encoder())
    cache = VectorCache.open(home.vectors, encoder.digest, encoder.dimension)
    engine = open_catalogue(home.catalogue)
    merge_owed(engine)
    with engine.connect() as db:
        done = publish(home.index, all_papers(db), encoder, cache)
    seconds = time.perf_counter() - began
    whole = sum(path.stat().st_size for path in done.path.rglob("*") if path.is_file())
    return Night(
        papers=done.papers,
        vectors_made=done.vectors_made,
        seconds=seconds,
        embedding=encoder.seconds,
        peak_mb=peak_mb(),
        bytes_a_paper=snapshot_bytes(done.path) // done.papers,
        whole_bytes_a_paper=whole // done.papers,
    )


def promises(night: Night) -> list[str]:
    """What was promised of 1,000 of 120,000 papers."""
    return [
        wanted("seconds beside embedding", night.beside, 20),
        wanted("peak MB", night.peak_mb, 1_500),
        wanted("bytes a paper with the encoder", night.whole_bytes_a_paper, 3_500),
    ]


def _night(home: Path) -> None:
    from index.encoder import Encoder

    json.dump(night(Home(home), Encoder)._asdict(), sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
