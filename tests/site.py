"""One home and the upstreams it asks: what the tests of fetching and recording stand on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from data.sample.replay import Replay
from ingest import catalogue, ledger
from ingest.catalogue import all_papers, open_catalogue
from ingest.http import Client
from ingest.ledger import Partition
from ingest.paper import Paper
from ingest.raw import Archive
from ingest.record import record_landed
from ingest.upstreams import Upstreams


class Site:
    """A home and its upstreams, opened; what has landed is recorded before it is asked about."""

    def __init__(self, home: Path, replay: Replay) -> None:
        self.home, self.replay = home, replay
        self.upstreams = Upstreams.from_env(replay.env)
        self.archive = Archive(home / "raw")
        self.engine = open_catalogue(home / "catalogue.sqlite")
        self.slept: list[float] = []
        self.client = Client.of(self.upstreams, home / "locks", sleep=self.slept.append)

    @classmethod
    @contextmanager
    def opened(cls, home: Path, wire: Path) -> Iterator[Self]:
        """With a replay of what lies in `wire`, or will."""
        with Replay(wire) as replay, closing(cls(home, replay)) as site:
            yield site

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def rebuilt(self) -> Iterator[Self]:
        """The same home with a catalogue made anew, of what has landed alone."""
        again = copy(self)
        again.engine = open_catalogue(self.home / "again.sqlite")
        with closing(again):
            record_landed(again.engine, again.archive)
            yield again

    def write(self, name: str, text: str) -> None:
        """What the replay serves from now on."""
        file = self.replay.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @property
    def at(self) -> tuple[Client, Upstreams, Archive]:
        """What every fetch takes first."""
        return self.client, self.upstreams, self.archive

    @contextmanager
    def recorded(self) -> Iterator[sa.Connection]:
        record_landed(self.engine, self.archive)
        with self.engine.connect() as db:
            yield db

    def papers(self) -> dict[str, Paper]:
        with self.recorded() as db:
            return {p.arxiv_id: p for p in all_papers(db)}

    def partitions(self, source: str | None = None) -> list[Partition]:
        with self.recorded() as db:
            return ledger.partitions(db, source)

    def labels(self, source: str | None = None) -> dict[str, str]:
        """By day."""
        return {p.day: p.label for p in self.partitions(source)}

    def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        """In the order of their keys."""
        with self.recorded() as db:
            return list(db.execute(sa.select(table).order_by(*table.primary_key)))

    def quarantined(self) -> list[sa.Row[Any]]:
        return self.rows(catalogue.quarantine)
