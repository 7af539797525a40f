"""The step that reads a bulk file: it waits for no other source's packages."""

from __future__ import annotations

from pathlib import Path

from flows.home import archive_of, open_home
from flows.progress import progress
from ingest import bulk_import
from ingest.errors import BadInput
from ingest.recorded import Tally
from ingest.sources import bulk


def is_bulk(file: Path) -> bool:
    """Whether `file` holds records, one a line, rather than a saved listing; raises BadInput."""
    try:
        with file.open("rb") as opened:
            return bulk.is_bulk(opened.read(64), file.name)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from error


def import_bulk(home: Path, file: Path, night: str) -> Tally:
    """Land and record every line of a file of records; raises BadInput."""
    size = file.stat().st_size
    with open_home(home) as engine, progress(f"{file.name} (bytes)", size) as done:
        return bulk_import.import_file(engine, archive_of(home), file, night, done)
