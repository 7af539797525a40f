"""A home as it stands before a night: papers published, changes in the catalogue."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import Engine

from benchmarks import setting
from benchmarks.ingest import BENCH, as_snapshot
from benchmarks.setting import CHUNK, Made
from benchmarks.variations import mixed_rows
from index.build import DocumentEncoder, publish
from index.text import document
from index.vector_cache import VectorCache
from ingest.bulk_import import import_file
from ingest.catalogue import all_papers, merge_owed, open_catalogue
from ingest.layout import Home
from ingest.paper import Paper
from ingest.raw import Archive


def prepare(
    home: Home, known: list[dict[str, Any]], changed: int, made: Made, encoder: DocumentEncoder
) -> None:
    """A home before its night: all but the new papers published, the changes in the catalogue.

    No paper of before is embedded: its rows are mixtures of those already made.
    """
    new = changed // 2
    before, arriving = known[: len(known) - new], known[len(known) - new :]
    every = max(1, len(before) // max(1, changed - new))
    revised = [_revised(record) for record in before[::every][: changed - new]]
    cache = VectorCache.open(home.vectors, encoder.digest, encoder.dimension)
    engine = open_catalogue(home.catalogue)
    _import(home, engine, before, "2026-03-01")
    merge_owed(engine)
    with engine.connect() as db:
        _keep_rows(all_papers(db), made, cache)
        publish(home.index, all_papers(db), encoder, cache)
    _import(home, engine, arriving + revised, "2026-03-02")
    engine.dispose()


def records(count: int) -> list[dict[str, Any]]:
    """So many records, real ones where they lie beside the checkout."""
    if BENCH.exists():
        with lzma.open(BENCH, "rt", encoding="utf8") as lines:
            return list(map(json.loads, islice(lines, count)))
    return [
        {
            "id": paper.arxiv_id,
            "title": paper.title,
            "authors": ["Ada Lovelace", "Mary Somerville"],
            "abstract": paper.abstract,
            "categories": ["cs.LG"],
            "created": "2024-01-02",
            "updated": "2024-01-02",
            "comments": None,
            "doi": None,
        }
        for paper in setting.made_up(count).papers
    ]


def _import(home: Home, engine: Engine, lines: Iterable[dict[str, Any]], day: str) -> None:
    file = home.path / f"{day}.jsonl"
    with file.open("w", encoding="utf8") as out:
        out.writelines(json.dumps(as_snapshot(record)) + "\n" for record in lines)
    import_file(engine, Archive(home.raw), file, day)


def _keep_rows(papers: Iterable[Paper], made: Made, cache: VectorCache) -> None:
    """A row for each title and document, so that none of them is embedded."""
    start = 0
    while chunk := list(islice(papers, CHUNK)):
        numbers = np.arange(start, start + len(chunk))
        texts = [document(paper.title, paper.abstract) for paper in chunk]
        cache.add(texts, mixed_rows(made.documents, numbers, 1))
        cache.add([paper.title or "" for paper in chunk], mixed_rows(made.titles, numbers, 0))
        start += len(chunk)


def _revised(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a second version, whose abstract says more."""
    more = f"{record['abstract']} This version adds {record['id']} measurements."
    return {**record, "abstract": more, "updated": "2026-03-01"}
