"""Observations made ready for the catalogue: pure work, so that other processes can share it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from ingest.merge import merge
from ingest.paper import Observation, Paper
from ingest.text import title_key

# Plain tuples: they travel from process to process in half the time of named ones.
ObservationRow = tuple[str, str, str, str | None, str, str]
"""Id, digest, source, listing day, moment and what was said: the columns of `observations`."""
PaperRow = tuple[str, int | None, str | None, str]
"""Id, version, title key and record: the columns of `papers`."""


class Batch(NamedTuple):
    """Observations as rows, and the papers that they alone merge to."""

    observations: list[ObservationRow]
    rows: list[PaperRow]
    """Papers that link to no repository, complete."""
    linked: list[Paper]
    """Papers that link to some, of which the catalogue may know what GitHub said."""


def batch_of(seen: Iterable[Observation]) -> Batch:
    """The rows that `seen` comes to, each paper merged from these observations of it alone."""
    batch = Batch([], [], [])
    groups: defaultdict[str, list[Observation]] = defaultdict(list)
    for o in seen:
        batch.observations.append(observation_row(o))
        groups[o.arxiv_id].append(o)
    for arxiv_id, group in groups.items():
        paper = merge(arxiv_id, group)
        if paper.repos:
            batch.linked.append(paper)
        else:
            batch.rows.append(paper_row(paper))
    return batch


def observation_row(o: Observation) -> ObservationRow:
    """What `o` said apart from when, and the digest of that."""
    said = replace(o, seen_at="").to_json()
    digest = hashlib.blake2b(said, digest_size=16).hexdigest()
    return (o.arxiv_id, digest, o.source, o.listed_on, o.seen_at, said.decode())


def paper_row(paper: Paper) -> PaperRow:
    """The paper as the catalogue keeps it."""
    key = title_key(paper.title or "") or None
    return (paper.arxiv_id, paper.version, key, paper.to_json().decode())
