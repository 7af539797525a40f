"""What a night did, as a table and as a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.steps import Enrichment
from index.build import Published
from ingest.ledger import Partition
from ingest.record import Tally, add_up


@dataclass(frozen=True, slots=True)
class Night:
    """What a night did; `failed` gives the days that stay open, and why."""

    rows: list[dict[str, Any]]
    failed: dict[str, str]
    enrichment: Enrichment
    published: Published | None

    def summary(self) -> str:
        """The lines that stand above the table."""
        lines = [
            f"arXiv: {self.enrichment.asked} asked, {self.enrichment.pending} pending",
            *([f"arXiv stopped: {self.enrichment.failure}"] if self.enrichment.failure else []),
            *_published_lines(self.published),
        ]
        return "\n".join(lines)


def night_rows(days: list[Partition], tallies: list[Tally]) -> list[dict[str, Any]]:
    """One row a (source, day): state, received, new, changed, quarantined."""
    brought = add_up(t for t in tallies if t.kind != "closing")
    states = {p.day: p.label for p in days}
    seen = [_row(t, states.get(t.partition, "")) for t in brought]
    silent = [p for p in days if p.day not in {t.partition for t in brought}]
    rows = seen + [_row(Tally(p.source, p.day), p.label) for p in silent]
    return sorted(rows, key=lambda row: (row["source"], row["day"]))


def _row(tally: Tally, state: str) -> dict[str, Any]:
    return {
        "source": tally.kind,
        "day": tally.partition,
        "state": state if tally.kind.startswith("huggingface") else "",
        "received": tally.received,
        "new": tally.new,
        "changed": tally.changed,
        "quarantined": tally.quarantined,
    }


def _published_lines(published: Published | None) -> list[str]:
    if published is None:
        return ["no snapshot: there are no papers yet"]
    unchanged = " (unchanged)" if published.unchanged else ""
    return [
        f"vectors: {published.vectors_made} made, {published.vectors_reused} reused",
        f"snapshot: {published.snapshot_id}{unchanged}, {published.papers} papers",
    ]
