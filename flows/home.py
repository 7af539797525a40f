"""A home for one run: its lock, its catalogue and its archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout

from ingest.catalogue import open_catalogue
from ingest.errors import Busy
from ingest.layout import Home
from ingest.raw import Archive


@contextmanager
def run_lock(home: Path) -> Iterator[None]:
    """Only one run writes at a time; the lock goes with the process that held it."""
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(Home(home).lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(f"another paperfeed run is writing to {home}: wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def open_home(home: Path) -> Iterator[sa.Engine]:
    """The catalogue of `home`, let go at the end."""
    engine = open_catalogue(Home(home).catalogue)
    try:
        yield engine
    finally:
        engine.dispose()


def archive_of(home: Path) -> Archive:
    """Where the answers of `home` land."""
    return Archive(Home(home).raw)
