"""How fast bulk metadata comes in; run it as `python -m benchmarks.ingest [FILE]`.

FILE is a snapshot in arXiv's public form, plain or packed. Without one the records of
../shared/bench are turned into that form, or, where they are not, made-up ones. Beside ours stands
what a plain script does: read a line, parse it, insert it, nothing kept of what was received,
nothing merged, no second source, not restartable.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ingest.bulk_file import chunks

BENCH = Path(__file__).parents[2] / "shared" / "bench" / "arxiv_120k.jsonl.xz"
MADE_UP = 120_000


def as_snapshot(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the benchmark's form in that of arXiv's public snapshot."""
    created = record["created"] or record["updated"] or "2020-01-01"
    updated = record["updated"] or created
    days = [created] if updated == created else [created, updated]
    return {
        "id": record["id"],
        "submitter": next(iter(record["authors"]), None),
        "authors": ", ".join(record["authors"]),
        "title": record["title"],
        "comments": record["comments"],
        "journal-ref": None,
        "doi": record["doi"],
        "report-no": None,
        "categories": " ".join(record["categories"]),
        "license": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
        "abstract": f"  {record['abstract']}\n",
        "versions": [
            {"version": f"v{number}", "created": _moment(day)} for number, day in enumerate(days, 1)
        ],
        "update_date": updated,
        "authors_parsed": [[*_last_first(name), ""] for name in record["authors"]],
    }


def import_ours(file: Path, home: Path) -> int:
    """Our import into a new home; gives the number of lines."""
    from ingest.bulk_import import import_file
    from ingest.catalogue import open_catalogue
    from ingest.raw import Archive

    engine = open_catalogue(home / "catalogue.sqlite")
    return import_file(engine, Archive(home / "raw"), file, "2026-03-01").received


def import_plainly(file: Path, home: Path) -> int:
    """The plain script: json and sqlite3, a row a line, one transaction; gives the lines."""
    db = sqlite3.connect(home / "plain.sqlite")
    db.execute("create table papers (id text primary key, title text, abstract text, record text)")
    done = 0
    for line in _lines(file):
        record = json.loads(line)
        row = (record["id"], record["title"], record["abstract"], json.dumps(record))
        db.execute("insert or replace into papers values (?, ?, ?, ?)", row)
        done += 1
    db.commit()
    return done


IMPORTS = {"paperfeed": import_ours, "json + sqlite3": import_plainly}


def main() -> None:
    """Time each import in a process of its own and print what it took."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", nargs="?", type=Path)
    arguments.add_argument("--one", choices=IMPORTS, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.one:
        _measure(asked.one, asked.file)
        return
    with TemporaryDirectory() as folder:
        file = asked.file or _written(Path(folder) / "snapshot.jsonl")
        _say(f"{file.name}, {file.stat().st_size >> 20} MB, load {os.getloadavg()[0]:.1f}")
        for name in IMPORTS:
            command = [sys.executable, "-m", "benchmarks.ingest", str(file), "--one", name]
            subprocess.run(command, check=True)  # noqa: S603 -- our own


def _measure(name: str, file: Path) -> None:
    with TemporaryDirectory() as folder:
        lines, seconds = _timed(name, file, Path(folder))
        speed = f"{lines / seconds:>8.0f} records/s"
        _say(f"{name:<16}{speed}, {_peak_mb():>4} MB at most, {seconds:.1f} s")
        if name == "paperfeed":
            lines, seconds = _timed(name, file, Path(folder))
            _say(f"{'the same again':<16}{lines / seconds:>8.0f} records/s")


def _timed(name: str, file: Path, home: Path) -> tuple[int, float]:
    began = time.perf_counter()
    return IMPORTS[name](file, home), time.perf_counter() - began


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _peak_mb() -> int:
    """The peak of this process and, as many times as it starts others, the greatest of theirs."""
    from ingest.bulk_import import READERS

    own, others = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (own + READERS * others) >> (20 if sys.platform == "darwin" else 10)


def _written(file: Path) -> Path:
    records = _bench_records() if BENCH.exists() else _made_up_records()
    with file.open("w", encoding="utf8") as out:
        out.writelines(json.dumps(as_snapshot(record)) + "\n" for record in records)
    return file


def _bench_records() -> Iterator[dict[str, Any]]:
    with lzma.open(BENCH, "rt", encoding="utf8") as lines:
        yield from map(json.loads, lines)


def _made_up_records() -> Iterator[dict[str, Any]]:
    abstract = "We draw hands with as many fingers as people have, and count them again. " * 18
    for number in range(MADE_UP):
        yield {
            "id": f"{2401 + number // 50_000}.{number % 50_000 + 1:05}",
            "title": f"A study of hands, part {number}",
            "authors": ["Ada Lovelace", "Charles Babbage", "Mary Somerville"],
            "abstract": abstract + str(number),
            "categories": ["cs.CV", "cs.LG"],
            "created": "2024-01-02",
            "updated": "2024-02-03",
            "comments": "12 pages, 3 figures",
            "doi": None,
        }


def _lines(file: Path) -> Iterable[bytes]:
    for chunk in chunks(file):
        yield from chunk.body.splitlines()


def _moment(day: str) -> str:
    return format_datetime(
        datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC), usegmt=True
    )


def _last_first(name: str) -> tuple[str, str]:
    fore, _, last = name.rpartition(" ")
    return last, fore


if __name__ == "__main__":
    main()
