"""What `show`, `quarantine` and `export` tell of a home, changing nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import sqlalchemy as sa
from msgspec.structs import fields

from ingest.catalogue import all_papers, open_catalogue, paper, quarantine
from ingest.errors import BadInput, MissingExtra, PaperfeedError
from ingest.layout import Home
from ingest.paper import Paper


def record_of(home: Path, arxiv_id: str) -> dict[str, Any]:
    """One paper's record; raises BadInput where the catalogue has no such paper."""
    with catalogue(home) as db:
        found = paper(db, arxiv_id)
    if found is None:
        raise BadInput(f"no paper {arxiv_id} in {home}: has its day been collected?")
    return found.to_record()


def quarantined(home: Path) -> list[dict[str, Any]]:
    """Everything that could not be read, with its reason and as it came, oldest day first."""
    q = quarantine.c
    with catalogue(home) as db:
        rows = db.execute(sa.select(quarantine).order_by(q.partition, q.kind, q.digest))
        return [dict(row._mapping) for row in rows]


def export(home: Path, form: str, out: Path | None) -> int:
    """Write every record; to a file by renaming a whole one into place. Gives how many."""
    with catalogue(home) as db:
        records = (found.to_record() for found in all_papers(db))
        if out is None and form == "parquet":
            raise BadInput("parquet needs a file: add  --out papers.parquet")
        if out is None:
            return _write_lines(records, sys.stdout)
        if out.is_dir() or not out.parent.is_dir():
            raise BadInput(f"{out} is no file that can be written: give --out a path to a file")
        aside = out.with_name(f".{out.name}.part")
        try:
            written = _WRITERS[form](records, aside)
            aside.replace(out)
            return written
        finally:
            aside.unlink(missing_ok=True)


def _write_lines(records: Iterator[dict[str, Any]], file: TextIO) -> int:
    written = 0
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        written += 1
    return written


def _write_jsonl(records: Iterator[dict[str, Any]], path: Path) -> int:
    with path.open("w", encoding="utf8") as file:
        return _write_lines(records, file)


def _write_parquet(records: Iterator[dict[str, Any]], path: Path) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    rows = [{**record, "sources": list(record["sources"].items())} for record in records]
    parquet.write_table(pa.Table.from_pylist(rows, schema=_parquet_schema(pa)), path)
    return len(rows)


_WRITERS = {"jsonl": _write_jsonl, "parquet": _write_parquet}


def _parquet_schema(pa: Any) -> Any:  # noqa: ANN401 -- pyarrow ships no types
    text, texts = pa.string(), pa.list_(pa.string())
    repo = {
        "name": text,
        "found_in": text,
        "own": pa.bool_(),
        "repaired": pa.bool_(),
        "verified": text,
        "stars": pa.int32(),
        "archived": pa.bool_(),
        "url": text,
    }
    odd = {
        "version": pa.int32(),
        "versions": texts,
        "authors": texts,
        "categories": texts,
        "withdrawn": pa.bool_(),
        "repos": pa.list_(pa.struct(list(repo.items()))),
        "listed_on": texts,
        "upvotes": pa.int64(),
        "keywords": texts,
        "sources": pa.map_(text, text),
    }
    return pa.schema([(f.name, odd.get(f.name, text)) for f in fields(Paper)])


@contextmanager
def catalogue(home: Path) -> Iterator[sa.Connection]:
    """The catalogue of a home that has one; raises PaperfeedError where it has none."""
    path = Home(home).catalogue
    if not path.exists():
        raise PaperfeedError(f"{home} has no catalogue yet: run  paperfeed nightly  first")
    engine = open_catalogue(path)
    try:
        with engine.connect() as db:
            yield db
    finally:
        engine.dispose()
