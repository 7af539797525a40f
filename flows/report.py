"""What a night did, as a table and as a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.steps import Enrichment
from index.build import Published
from ingest.collect import ARXIV, DAILY, DAILY_API, DAILY_LISTING
from ingest.ledger import Partition
from ingest.recorded import Tally, add_up


@dataclass(frozen=True, slots=True)
class Night:
    """What a night did; `failed` gives the days that stay open, and why."""

    rows: list[dict[str, Any]]
    failed: dict[str, str]
    enrichment: Enrichment
    pending: int
    links: int
    published: Published | None

    def summary(self) -> str:
        """The lines that stand below the table."""
        lines = [
            f"arXiv: {self.enrichment.asked} asked, {self.pending} pending",
            *([f"arXiv stopped: {self.enrichment.failure}"] if self.enrichment.failure else []),
            f"links: {self.links} papers with a repository of their own",
            *_published_lines(self.published),
        ]
        return "\n".join(lines)


def night_rows(states: list[Partition], tallies: list[Tally]) -> list[dict[str, Any]]:
    """One row a (source, day): state, received, new, changed, quarantined."""
    brought = {
        (_source(t.kind), t.partition): t
        for t in add_up(t._replace(kind=_source(t.kind)) for t in tallies if t.kind != "closing")
    }
    labels = {(p.source, p.day): p.label for p in states}
    counted = {(p.source, p.day): Tally(p.source, p.day, p.received) for p in states}
    together = counted | brought
    return [_row(together[key], labels.get(key, "")) for key in sorted(together)]


def _source(kind: str) -> str:
    """The ledger's name of the source whose response this is: the API's and the page's are one."""
    return DAILY if kind in (DAILY_API, DAILY_LISTING) else ARXIV if kind == "arxiv_ids" else kind


def _row(tally: Tally, state: str) -> dict[str, Any]:
    counts = tally._asdict()
    return {"source": counts.pop("kind"), "day": counts.pop("partition"), "state": state, **counts}


def _published_lines(published: Published | None) -> list[str]:
    if published is None:
        return ["no snapshot: there are no papers yet"]
    unchanged = " (unchanged)" if published.unchanged else ""
    return [
        f"vectors: {published.vectors_made} made, {published.vectors_reused} reused",
        f"snapshot: {published.snapshot_id}{unchanged}, {published.papers} papers",
    ]
