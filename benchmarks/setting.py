"""What is measured on: real papers where they lie beside the checkout, made-up ones elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks import beir
from benchmarks.beir import Qrels, Query
from index.build import DocumentEncoder
from index.text import document
from index.vector_cache import VectorCache
from ingest.errors import BadInput
from ingest.paper import Paper

BENCH = Path(__file__).parents[2] / "shared" / "bench"
HOME = Path("data") / "bench"
"""Vectors that were made for one measurement lie here for the next one."""
MADE_UP = 2_000
CHUNK = 4096
"""Rows that are handled together."""

_STARTS = ("ball", "der", "fin", "gor", "hul", "kar", "len", "mir", "nod", "pur", "ras", "sel")
_ENDS = ("tion", "ment", "ling", "net", "graph", "field", "scope", "gram", "phase", "cycle")

Rows = NDArray[np.float32]
"""(n, d) unit rows."""
Thing = TypeVar("Thing")


class Setting(NamedTuple):
    """Papers, questions about them, and which papers answer which question."""

    name: str
    papers: list[Paper]
    """In the order of their ids."""
    queries: list[Query]
    qrels: Qrels
    """By the papers' own ids."""
    documents: Rows | None = None
    """The papers' rows, of title and abstract, where somebody made them already."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files to measure on, how many papers of them, and where to keep vectors."""
    for name, told in {
        "corpus": "papers: _id, title, text; .jsonl or .jsonl.xz",
        "vectors": "rows of 'title. text' in the corpus's order, .npy: not embedded again",
        "queries": "questions: _id, text",
        "qrels": "query-id, corpus-id, score between tabs, below a header",
    }.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=told)
    parser.add_argument("--limit", type=int, metavar="N", help="only so many papers")
    parser.add_argument("--questions", type=int, metavar="N", help="only so many questions")
    parser.add_argument("--home", type=Path, default=HOME, help=f"vectors are kept here: {HOME}")
    parser.add_argument("--write", action="store_true", help="put the table into the README")


def chosen(asked: argparse.Namespace) -> Setting:
    """What the command line names; raises BadInput for files that do not go together."""
    files = asked.corpus, asked.queries, asked.qrels
    if any(files) and not all(files):
        raise BadInput("give --corpus, --queries and --qrels together")
    if all(files):
        setting = read(asked.corpus, asked.vectors, [(asked.queries, asked.qrels)])
    elif BENCH.is_dir():
        sets = [BENCH / "spar", BENCH / "autoscholar"]
        judged = [(one / "queries.jsonl", one / "qrels.tsv") for one in sets]
        setting = read(BENCH / "corpus.jsonl.xz", BENCH / "corpus_minilm_f16.npy", judged)
    else:
        setting = made_up(max(MADE_UP, asked.limit or 0))
    if asked.limit is not None:
        setting = limited(setting, asked.limit)
    if asked.questions is None:
        return setting
    return setting._replace(queries=_spread(setting.queries, asked.questions))


def read(corpus_file: Path, vectors: Path | None, judged: Sequence[tuple[Path, Path]]) -> Setting:
    """A corpus, with the questions and judgments of one or more sets."""
    corpus = beir.read_corpus(corpus_file)
    held = [(own, paper) for own, paper in zip(corpus.ids, corpus.papers, strict=True) if paper]
    known = {own: paper.arxiv_id for own, paper in held}
    queries = [query for file, _ in judged for query in beir.read_queries(file)]
    qrels: Qrels = {}
    for _, file in judged:
        for query, grades in beir.read_qrels(file).items():
            qrels[query] = {known[one]: grade for one, grade in grades.items() if one in known}
    rows = None
    if vectors:
        dimension = np.load(vectors, mmap_mode="r").shape[-1]
        rows = beir.read_rows(vectors, len(corpus.ids), dimension)[corpus.held]
    return Setting(corpus_file.name, [paper for _, paper in held], queries, qrels, rows)


def limited(setting: Setting, count: int) -> Setting:
    """So many of the papers, those that answer a question first, the others evenly spread."""
    judged = {paper for grades in setting.qrels.values() for paper in grades}
    every = range(len(setting.papers))
    answers = [place for place in every if setting.papers[place].arxiv_id in judged]
    others = sorted(set(every) - set(answers))
    if count > len(answers):
        places = sorted(answers + _spread(others, count - len(answers)))
    else:
        places = _spread(answers, count)
    papers = [setting.papers[place] for place in places]
    known = {paper.arxiv_id for paper in papers}
    qrels = {
        query: {paper: grade for paper, grade in grades.items() if paper in known}
        for query, grades in setting.qrels.items()
    }
    rows = None if setting.documents is None else setting.documents[places]
    return setting._replace(papers=papers, qrels=qrels, documents=rows)


def made_up(count: int) -> Setting:
    """Papers and questions of a few hundred words; a question asks for a title's two topics."""
    draw = Random(0)  # noqa: S311 -- the same papers every time is what is wanted
    words = [start + vowel + end for start in _STARTS for vowel in "aeiou" for end in _ENDS]
    papers, qrels = [], {}
    for number in range(count):
        one, other, third = draw.sample(words, 3)
        said = [
            f"We relate {one} to {draw.choice(words)} by {draw.choice(words)}." for _ in "12345"
        ]
        title = f"On {one} and {other} under {third}, part {number}"
        papers.append(Paper(beir.made_up_id(number), title=title, abstract=" ".join(said)))
        qrels[f"{one} with {other}"] = {papers[-1].arxiv_id: 1}
    asked = draw.sample(sorted(qrels), min(count, 200))
    queries = [Query(topics, f"Which papers study {topics}?") for topics in asked]
    return Setting("made-up papers", papers, queries, {topics: qrels[topics] for topics in asked})


class Made(NamedTuple):
    """What was made of a setting's papers, in their order."""

    ids: list[str]
    texts: list[str]
    """Title and abstract of each."""
    titles: Rows
    documents: Rows
    """The rows of the texts."""
    cache: VectorCache
    """Holds them all."""


def embedded(setting: Setting, home: Path, encoder: DocumentEncoder) -> Made:
    """The papers' rows; only those that nobody made yet are made now, and kept under `home`."""
    cache = VectorCache.open(home / "vectors", encoder.digest, encoder.dimension)
    ids = [paper.arxiv_id for paper in setting.papers]
    titles = [paper.title or "" for paper in setting.papers]
    documents = [document(paper.title, paper.abstract) for paper in setting.papers]
    if setting.documents is not None:
        for part in parts(len(documents)):
            cache.add(documents[part], setting.documents[part])
    for texts in (documents, titles):
        missing = [texts[place] for place in cache.missing(texts)]
        for places, rows in encoder.batches(missing):
            cache.add([missing[place] for place in places], rows)
    return Made(ids, documents, cache.rows(titles), cache.rows(documents), cache)


def _spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of the things, evenly spread; all where they are fewer. Raises BadInput below 1."""
    if count < 1:
        raise BadInput(f"{count} is too few for --limit, --questions or --sizes: give at least 1")
    places = np.linspace(0, len(things) - 1, min(count, len(things))).astype(int)
    return [things[place] for place in places.tolist()]


def parts(count: int) -> Iterator[slice]:
    """Slices of at most CHUNK that together cover `count`."""
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))
