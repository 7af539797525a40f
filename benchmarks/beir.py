"""Corpora, questions and judgments in the form of BEIR, with ids of any kind."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInput
from ingest.paper import Paper
from ingest.text import one_line, title_key

Qrels = dict[str, dict[str, int]]
"""Question id to corpus id to grade."""
_MONTH = 99_999


class Corpus(NamedTuple):
    """Papers under ids that paperfeed can keep, whatever theirs are."""

    ids: list[str]
    """The corpus's own ids, in its order."""
    papers: list[Paper | None]
    """In the same order; None for one without a title, which no snapshot holds."""

    @property
    def held(self) -> list[int]:
        """The places of the papers that have a title."""
        return [place for place, paper in enumerate(self.papers) if paper]


class Query(NamedTuple):
    """A question, or the title of a paper."""

    id: str
    text: str


def read_corpus(file: Path) -> Corpus:
    """The corpus; raises BadInput for a file that is none, or that has an id twice."""
    ids: list[str] = []
    papers: list[Paper | None] = []
    for where, entry in _objects(file):
        title, abstract = (one_line(_text(where, entry, key)) for key in ("title", "text"))
        paper = Paper(made_up_id(len(ids)), title=title, abstract=abstract or None)
        ids.append(_id(where, entry))
        papers.append(paper if title else None)
    if len(set(ids)) < len(ids):
        twice = next(one for place, one in enumerate(ids) if one in ids[:place])
        raise BadInput(f"{file} holds the _id {twice} more than once")
    if not any(papers):
        raise BadInput(f"{file} holds no paper: each line is an object with _id, title and text")
    return Corpus(ids, papers)


def made_up_id(place: int) -> str:
    """A well-formed arXiv id for the paper at this place: later ones are greater."""
    months, number = divmod(place, _MONTH)
    years, month = divmod(months, 12)
    return f"{15 + years:02}{month + 1:02}.{number + 1:05}"


def read_queries(file: Path) -> list[Query]:
    """The questions; raises BadInput for a file that holds none."""
    queries = [
        Query(_id(where, entry), one_line(_text(where, entry, "text")))
        for where, entry in _objects(file)
    ]
    if not queries:
        raise BadInput(f"{file} holds no question: each line is an object with _id and text")
    return queries


def read_qrels(file: Path) -> Qrels:
    """The judgments, tab-separated below a header; raises BadInput for a line that is none."""
    qrels: Qrels = {}
    for number, line in enumerate(_lines(file), 1):
        fields = line.rstrip("\r\n").split("\t")
        try:
            query, paper, grade = fields
            qrels.setdefault(query, {})[paper] = int(float(grade))
        except (ValueError, OverflowError):
            if number > 1 and line.strip():
                wanted = "query-id, corpus-id and score between tabs"
                raise BadInput(f"{file}, line {number}: write {wanted}") from None
    if not qrels:
        raise BadInput(
            f"{file} holds no judgment: write query-id, corpus-id and score between tabs"
        )
    return qrels


def read_rows(file: Path, count: int, dimension: int) -> NDArray[np.float32]:
    """(count, dimension) unit rows of a .npy file; raises BadInput where they cannot be."""
    try:
        rows = np.load(file, allow_pickle=False)
        found = np.shape(rows)
        if found != (count, dimension):
            raise BadInput(f"{file} holds {found}, but {(count, dimension)} rows are needed")
        rows = np.asarray(rows, np.float32)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{file} cannot be read as a .npy file of rows: {error}") from error
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise BadInput(f"{file} holds a row that has no direction")
    unit: NDArray[np.float32] = rows / norms
    return unit


def papers_of(queries: Iterable[Query], corpus: Corpus) -> dict[str, int]:
    """Question id to the place of the paper that it is: by its id, else by its title."""
    by_id = {own: place for place, own in enumerate(corpus.ids)}
    by_title = {title_key(corpus.papers[n].title or ""): n for n in reversed(corpus.held)}  # type: ignore[union-attr]  # held: there is one
    found = {q.id: by_id.get(q.id, by_title.get(title_key(q.text))) for q in queries}
    held = set(corpus.held)
    return {query: place for query, place in found.items() if place is not None and place in held}


def _objects(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's object, with where it stands for a message."""
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise BadInput(f"{where}: is not JSON") from None
        if not isinstance(entry, dict):
            raise BadInput(f"{where}: is not a JSON object")
        yield where, entry


def _lines(file: Path) -> Iterator[str]:
    opened = lzma.open if file.suffix == ".xz" else open
    try:
        with opened(file, "rt", encoding="utf-8", newline="\n") as lines:
            yield from lines
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"{file} cannot be read: {why}") from error


def _id(where: str, entry: dict[str, Any]) -> str:
    own = entry.get("_id")
    if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
        raise BadInput(f"{where}: has no _id")
    return str(own)


def _text(where: str, entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise BadInput(f"{where}: {key} is no text")
    return value or ""
