"""How good the answers are, by judgments: dense alone, words alone, and what the product answers.

A snapshot of the corpus is built by `index.build.publish` and asked through `index.Retriever`; the
scores are those of trec_eval, through ir-measures.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import beir
from benchmarks.beir import Corpus, Qrels, Query
from flows.progress import progress, say
from index.build import CHUNK, DocumentEncoder, publish
from index.fusion import top
from index.opened import OpenEncoder
from index.records import Papers
from index.retriever import Retriever
from index.text import document
from index.vector_cache import VectorCache
from ingest.errors import BadInput, MissingExtra, PaperfeedError

DEPTH = 20
"""Papers that are asked for."""
DENSE, WORDS, ANSWERS = "dense alone, exact", "words alone (BM25)", "what paperfeed answers"
RESAMPLES = 2000
SAME_ENCODER = 0.95
"""Least cosine of a row given with the row that the encoder makes; half precision keeps 0.999."""

Rows = NDArray[np.float32]
Found = list[str]
"""Corpus ids, best first."""


class Case(NamedTuple):
    """A question that can be measured."""

    query: Query
    paper: int | None
    """The place of the paper that is the question, None for a question in words."""
    judged: dict[str, int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the files that the command line names and print the table."""
    try:
        _run(_parsed(arguments))
    except (PaperfeedError, OSError) as error:  # OSError: the disk for the snapshot is full
        say(str(error))
        return 2
    return 0


def _run(asked: argparse.Namespace) -> None:
    from index.encoder import DEFAULT_MODEL, Encoder

    _library()  # before the minutes that the rest takes
    corpus = beir.read_corpus(asked.corpus)
    queries, qrels = beir.read_queries(asked.queries), beir.read_qrels(asked.qrels)
    encoder = Encoder(os.environ.get("PAPERFEED_MODEL") or DEFAULT_MODEL)
    made = [
        file and beir.read_rows(file, len(corpus.ids), encoder.dimension)
        for file in (asked.vectors, asked.titles)
    ]
    cases = cases_of(queries, qrels, corpus, by_paper=asked.by_paper)
    with TemporaryDirectory() as folder:
        runs = answers(Path(folder), corpus, cases, encoder, documents=made[0], titles=made[1])
    sys.stdout.write(table(scores(cases, runs)))


def cases_of(queries: list[Query], qrels: Qrels, corpus: Corpus, *, by_paper: bool) -> list[Case]:
    """The questions that have judgments and, by paper, are a paper; says what is left out."""
    papers = beir.papers_of(queries, corpus) if by_paper else {}
    known = {corpus.ids[place] for place in corpus.held}
    cases, lacking = [], {}
    for query in queries:
        place = papers.get(query.id)
        own = corpus.ids[place] if place is not None else None
        judged = {paper: grade for paper, grade in qrels.get(query.id, {}).items() if paper != own}
        relevant = {paper for paper, grade in judged.items() if grade > 0}
        lacking[query.id] = relevant - known
        if relevant & known and (place is not None or not by_paper):
            cases.append(Case(query, place, judged))
    _say_what_lacks(queries, qrels, corpus, cases, lacking)
    if not cases:
        raise BadInput("no question has a judged paper of the corpus: do the three files match?")
    return cases


def _say_what_lacks(
    queries: list[Query],
    qrels: Qrels,
    corpus: Corpus,
    cases: list[Case],
    lacking: Mapping[str, set[str]],
) -> None:
    measured = {case.query.id for case in cases}
    _name("papers have no title and are left out", set(corpus.ids) - _ids_held(corpus))
    _name("judged questions are in no question file", qrels.keys() - {q.id for q in queries})
    _name("questions cannot be measured and are left out", {q.id for q in queries} - measured)
    partly = {query: papers for query, papers in lacking.items() if papers and query in measured}
    count = sum(map(len, partly.values()))
    _name(
        f"questions have relevant papers that the corpus lacks, {count} in all, not found", partly
    )


def _ids_held(corpus: Corpus) -> set[str]:
    return {corpus.ids[place] for place in corpus.held}


def _name(what: str, which: Iterable[str]) -> None:
    names = sorted(which)
    if names:
        say(f"{len(names)} {what}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}")


def answers(
    home: Path,
    corpus: Corpus,
    cases: list[Case],
    encoder: DocumentEncoder,
    *,
    documents: Rows | None = None,
    titles: Rows | None = None,
    open_encoder: OpenEncoder | None = None,
) -> dict[str, list[Found]]:
    """What each way finds for each case; rows that are given are not made again."""
    cache = VectorCache.open(home / "vectors", encoder.digest, encoder.dimension)
    papers = [corpus.papers[place] for place in corpus.held]
    texts = [document(paper.title, paper.abstract) for paper in papers if paper]
    if documents is not None:
        _refuse_foreign(encoder, texts, documents[corpus.held])
        _keep(cache, texts, documents[corpus.held])
    if titles is not None:
        names = [paper.title or "" for paper in papers if paper]
        _refuse_foreign(encoder, names, titles[corpus.held])
        _keep(cache, names, titles[corpus.held])
    with progress("papers indexed", len(papers)) as advance:
        kept = (paper for paper in papers if paper)
        publish(home / "index", kept, encoder, cache, progress=advance)
    again = os.environ.get("PAPERFEED_RERANKER")
    retriever = Retriever.open(home, encoder=open_encoder, reranker=again)
    ways = _Ways(corpus, retriever, cache)
    return {name: [way(case) for case in cases] for name, way in ways.named().items()}


def _keep(cache: VectorCache, texts: list[str], rows: Rows) -> None:
    for start in range(0, len(texts), CHUNK):
        cache.add(texts[start : start + CHUNK], rows[start : start + CHUNK])


def _refuse_foreign(encoder: DocumentEncoder, texts: list[str], rows: Rows) -> None:
    """Raise BadInput where the rows given for a few texts are not those that the encoder makes."""
    places = np.unique(np.linspace(0, len(texts) - 1, 8).astype(int)).tolist()
    for chosen, made in encoder.batches([texts[place] for place in places]):
        for place, row in zip([places[one] for one in chosen], made, strict=True):
            if rows[place] @ row < SAME_ENCODER:
                what = f"row {place} of the rows given is not what {encoder.name} makes of its text"
                raise BadInput(f"{what}: are they in the corpus's order?")


class _Ways:
    """Three ways to find papers in one snapshot."""

    def __init__(self, corpus: Corpus, retriever: Retriever, cache: VectorCache) -> None:
        self._retriever = retriever
        self._opened = retriever.opened
        self._papers: Papers = self._opened.papers
        self._rows = cache.rows([texts.document for texts in self._papers.texts()])
        self._ids = [corpus.ids[place] for place in corpus.held]
        self._row_of = {place: row for row, place in enumerate(corpus.held)}
        self._id_of = {
            paper.arxiv_id: own
            for own, paper in zip(corpus.ids, corpus.papers, strict=True)
            if paper
        }

    def named(self) -> dict[str, Callable[[Case], Found]]:
        """Name to way."""
        return {DENSE: self._dense, WORDS: self._words, ANSWERS: self._answers}

    def _dense(self, case: Case) -> Found:
        row = self._own(case)
        asked = self._opened.encoder.encode(case.query.text) if row is None else self._rows[row]
        # From 1 up, since `top` keeps what is above 0.
        return self._named(self._rows @ asked + 2, row)

    def _words(self, case: Case) -> Found:
        row = self._own(case)
        texts = (
            [case.query.text] if row is None else [t.document for t in self._papers.texts([row])]
        )
        return self._named(self._opened.words.scores(texts[0]), row)

    def _answers(self, case: Case) -> Found:
        row = self._own(case)
        if row is None:
            hits = self._retriever.search(case.query.text, DEPTH)
        else:
            hits = self._retriever.similar(self._papers[row].arxiv_id, DEPTH)
        return [self._id_of[hit.arxiv_id] for hit in hits]

    def _own(self, case: Case) -> int | None:
        return None if case.paper is None else self._row_of[case.paper]

    def _named(self, scores: NDArray[np.float32], without: int | None) -> Found:
        best = top(scores, DEPTH + 1).rows.tolist()
        return [self._ids[row] for row in best if row != without][:DEPTH]


def scores(cases: list[Case], runs: Mapping[str, list[Found]]) -> dict[str, dict[str, Rows]]:
    """Way to measure to one score a case, in order; raises MissingExtra without ir-measures."""
    library = _library()
    measures = {
        "nDCG@10": library.nDCG @ 10,
        "recall@5": library.R @ 5,
        "recall@20": library.R @ 20,
        "MRR": library.RR,
    }
    names = {measure: name for name, measure in measures.items()}
    # By place: two questions of one id would count as one.
    qrels = {str(place): case.judged for place, case in enumerate(cases)}
    out: dict[str, dict[str, Rows]] = {}
    for way, found in runs.items():
        run = {str(n): {one: -float(r) for r, one in enumerate(ids)} for n, ids in enumerate(found)}
        out[way] = {name: np.zeros(len(cases), np.float32) for name in measures}
        for one in library.iter_calc(list(names), qrels, run):
            out[way][names[one.measure]][int(one.query_id)] = one.value
    return out


def _library() -> Any:  # noqa: ANN401 - it ships no types
    try:
        import ir_measures
    except ImportError as missing:
        raise MissingExtra("ir-measures", "bench") from missing
    return ir_measures


def table(measured: Mapping[str, Mapping[str, Rows]]) -> str:
    """Means with 95 % bootstrap intervals, a way a line, and what the answers gain."""
    measures = list(measured[ANSWERS])
    count = len(measured[ANSWERS][measures[0]])
    drawn = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    lines = [f"{count} questions".ljust(24) + "".join(f"{name:>24}" for name in measures)]
    for way, values in measured.items():
        lines.append(way.ljust(24) + "".join(_cell(values[name], drawn) for name in measures))
    lines += _gains({way: values["nDCG@10"] for way, values in measured.items()}, drawn)
    return "\n".join(lines) + "\n"


def _cell(values: Rows, drawn: NDArray[np.int64]) -> str:
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return f"{values.mean():>8.3f} [{low:.3f}, {high:.3f}]"


def _gains(values: Mapping[str, Rows], drawn: NDArray[np.int64]) -> Iterator[str]:
    """By how much the answers' mean is above the others', the same questions drawn for both."""
    ours = values[ANSWERS]
    for way in (DENSE, WORDS):
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = 100 * (ours.mean() / values[way].mean() - 1)
            resampled = 100 * (ours[drawn].mean(axis=1) / values[way][drawn].mean(axis=1) - 1)
            low, high = np.nanpercentile(resampled, [2.5, 97.5])
        yield f"nDCG@10 of the answers over {way}: {gain:+.1f} % [{low:+.1f}, {high:+.1f}]"


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.quality", description=__doc__)
    for name, told in {
        "corpus": "papers: _id, title, text; .jsonl or .jsonl.xz",
        "queries": "questions: _id, text; with --by-paper, _id or title of a paper",
        "qrels": "query-id, corpus-id, score between tabs, below a header",
    }.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=told)
    for name, told in {
        "vectors": "rows of 'title. text' in the corpus's order, .npy: not embedded again",
        "titles": "rows of the titles alone, likewise",
    }.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=told)
    parser.add_argument("--by-paper", action="store_true", help="ask for papers like a paper")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
