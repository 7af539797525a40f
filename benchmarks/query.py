"""How fast and how good one question is answered, from string to block, beside what others do.

Every question is put to all in turn, in an order drawn anew, so that other work on the machine
hits all alike; each encodes the question within its time. Then `paperfeed related` and txtai from
a saved index are started as fresh processes, alternately.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import plots, setting
from benchmarks.beir import Qrels, Query
from benchmarks.cold import seconds
from benchmarks.model import loaded, settle_threads
from benchmarks.peers import K, LanceDB, Material, Paperfeed, Peer, Txtai, opened
from benchmarks.report import show, status, table, wanted
from benchmarks.setting import Made, Setting
from index import Retriever
from index.build import DocumentEncoder, publish
from ingest.errors import MissingExtra

FULL = 50_000
"""Papers from which on the promises about 51,218 papers are compared with what was measured."""
WARM_UP = 5
REST_SECONDS = 0.005
"""Between two answers: threads that one leaves spinning must not slow the next."""
Millis = dict[str, list[float]]
"""Name of a peer to the milliseconds of each of its answers."""
Runs = dict[str, dict[str, list[str]]]
"""Name of a peer to question id to the papers' ids, best first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line names and print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.query", description=__doc__)
    setting.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="ask all so often")
    asked = parser.parse_args(arguments)
    return status(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    from index.encoder import Encoder
    from index.model_folder import DEFAULT_MODEL, ModelFolder

    chosen = setting.chosen(asked)
    made = published(chosen, asked.home, Encoder())
    ours = Paperfeed(Retriever.open(asked.home))
    model = ModelFolder.locate(DEFAULT_MODEL).path
    with TemporaryDirectory() as folder:
        peers = [ours, *opened(Material(Path(folder), made.ids, made.texts, made.documents, model))]
        threads = settle_threads(loaded(model))
        millis, runs = race(peers, chosen.queries, asked.rounds)
        cold = seconds(asked.home, Path(folder) / Txtai.folder, chosen.queries[0].text)
    good = ndcg(runs, chosen.qrels)
    count = len(made.ids)
    parts = [
        f"{chosen.name}: {count:,} papers, {len(chosen.queries)} questions, {K} papers an answer;"
        f" the peers' torch on {threads} of its threads, its best here.",
        answers_table(millis, good),
        table(
            ["fresh process, question to block", "s", "times paperfeed's"],
            [
                [name, median(took), median(took) / median(cold["paperfeed"])]
                for name, took in cold.items()
            ],
        ),
    ]
    if count >= FULL:
        parts.append("\n".join(promises(millis, good, cold)))
    show("query", *parts, write=asked.write)
    if asked.write:
        shown = {name: median(took) for name, took in millis.items()}
        plots.bars("query", f"one question among {count:,} papers: median ms", shown)


def published(chosen: Setting, home: Path, encoder: DocumentEncoder) -> Made:
    """The rows of all papers, which are now what the snapshot at `home` answers from."""
    made = setting.embedded(chosen, home, encoder)
    publish(home / "index", chosen.papers, encoder, made.cache, allow_shrink=True, keep=1)
    return made


def race(peers: Sequence[Peer], queries: Sequence[Query], rounds: int) -> tuple[Millis, Runs]:
    """Ask all peers all questions, a question at a time in an order drawn anew."""
    draw = Random(0)  # noqa: S311 -- the same orders every time are what is wanted
    for peer in peers:
        for query in queries[:WARM_UP]:
            peer.answer(query.text)
    millis: Millis = {peer.name: [] for peer in peers}
    runs: Runs = {peer.name: {} for peer in peers}
    for query in [*queries] * rounds:
        for peer in draw.sample(peers, len(peers)):
            time.sleep(REST_SECONDS)
            began = time.perf_counter()
            answer = peer.answer(query.text)
            millis[peer.name].append(1000 * (time.perf_counter() - began))
            runs[peer.name][query.id] = answer.ids
    return millis, runs


def ndcg(runs: Runs, qrels: Qrels) -> dict[str, float]:
    """The mean nDCG@10 of each, over the questions that some paper here answers."""
    try:
        from ir_measures import calc_aggregate, nDCG
    except ImportError as missing:
        raise MissingExtra("ir-measures", "bench") from missing
    measure, out = nDCG @ K, {}
    for name, run in runs.items():
        judged = {query: qrels[query] for query in run if qrels.get(query)}
        scored = {q: {one: -float(n) for n, one in enumerate(ids)} for q, ids in run.items()}
        out[name] = float(calc_aggregate([measure], judged, scored)[measure])
    return out


def answers_table(millis: Millis, good: Mapping[str, float]) -> str:
    """A peer a line: median and p99, both beside ours, and how good the answers are."""
    ours = median(millis[Paperfeed.name])
    rows = [
        [name, median(took), float(np.percentile(took, 99)), median(took) / ours, good[name]]
        for name, took in millis.items()
    ]
    return table(["question to block", "p50 ms", "p99 ms", "times paperfeed's", "nDCG@10"], rows)


def promises(
    millis: Millis, good: Mapping[str, float], cold: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    """What issue and README promise of 51,218 papers on two cores, kept or missed."""
    ours = Paperfeed.name
    yield wanted("p50 ms of a question", median(millis[ours]), 6)
    yield wanted("p99 ms of a question", float(np.percentile(millis[ours], 99)), 15)
    for peer, times in ((Txtai.name, 4), (LanceDB.name, 5)):
        if peer in millis:
            faster = median(millis[peer]) / median(millis[ours])
            yield wanted(f"times as fast as {peer}", faster, times, least=True)
            yield wanted(f"nDCG@10 beside {peer}", good[ours], good[peer], least=True)
    yield wanted("seconds of a fresh process", median(cold[ours]), 1.2)
    if "txtai" in cold:
        faster = median(cold["txtai"]) / median(cold[ours])
        yield wanted("times as fast as txtai's process", faster, 5, least=True)


if __name__ == "__main__":
    sys.exit(main())
