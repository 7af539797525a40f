"""What `status`, `show` and `export` tell of a home, changing nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

import sqlalchemy as sa

from index import snapshot
from ingest import ledger
from ingest.catalogue import all_papers, count, open_catalogue, paper, papers, quarantine
from ingest.collect import ARXIV, DAILY, pending
from ingest.errors import BadInput, MissingExtra, PaperfeedError, SnapshotError
from ingest.layout import Home
from ingest.paper import Paper
from ingest.titles import unresolved


def status(home: Path) -> dict[str, Any]:
    """How the sources, the catalogue and the snapshot stand, ready for JSON."""
    with _catalogue(home) as db:
        days = ledger.partitions(db, DAILY)
        arxiv = ledger.partitions(db, ARXIV)
        done = [p.day for p in days if p.state in ledger.CLOSED]
        return {
            "home": str(home),
            "papers": count(db, papers),
            "daily_papers": {
                "days": len(days),
                "last_good": max(done, default=None),
                "open": {p.day: p.label for p in days if p.state not in ledger.CLOSED},
            },
            "arxiv": {
                "pending": len(pending(db)),
                "last": next((p.label for p in reversed(arxiv)), None),
            },
            "titles_unresolved": [t.title for t in unresolved(db)],
            "quarantined": count(db, quarantine),
            "snapshot": _snapshot(home),
        }


def status_lines(report: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    daily = report["daily_papers"]
    yield f"papers            {report['papers']}"
    last_good = daily["last_good"] or "none yet"
    yield f"Daily Papers      {daily['days']} days, last good one {last_good}"
    for day, label in daily["open"].items():
        yield f"  open            {day}  {label}"
    arxiv = report["arxiv"]
    yield f"arXiv enrichment  {arxiv['pending']} pending, last answer {arxiv['last'] or 'none yet'}"
    yield f"titles            {len(report['titles_unresolved'])} unresolved"
    for title in report["titles_unresolved"]:
        yield f"  unresolved      {title}"
    yield f"quarantine        {report['quarantined']}"
    yield f"snapshot          {report['snapshot']}"


def record_of(home: Path, arxiv_id: str) -> dict[str, Any]:
    """One paper's record; raises BadInput where the catalogue has no such paper."""
    with _catalogue(home) as db:
        found = paper(db, arxiv_id)
    if found is None:
        raise BadInput(f"no paper {arxiv_id} in {home}: has its day been collected?")
    return found.to_record()


def quarantined(home: Path) -> list[dict[str, Any]]:
    """Everything that could not be read, with its reason and as it came, oldest day first."""
    q = quarantine.c
    with _catalogue(home) as db:
        rows = db.execute(sa.select(quarantine).order_by(q.partition, q.kind, q.digest))
        return [dict(row._mapping) for row in rows]


def export(home: Path, form: str, out: Path | None) -> int:
    """Write every record; to a file by renaming a whole one into place. Gives how many."""
    with _catalogue(home) as db:
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


def _snapshot(home: Path) -> str | None:
    try:
        return snapshot.current(Home(home).index).name
    except SnapshotError:
        return None


@contextmanager
def _catalogue(home: Path) -> Iterator[sa.Connection]:
    path = Home(home).catalogue
    if not path.exists():
        raise PaperfeedError(f"{home} has no catalogue yet: run  paperfeed nightly  first")
    engine = open_catalogue(path)
    try:
        with engine.connect() as db:
            yield db
    finally:
        engine.dispose()
