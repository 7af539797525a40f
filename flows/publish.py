"""The step that makes a snapshot: no other needs FAISS, or waits for it at every start."""

from __future__ import annotations

import os
from pathlib import Path

from flows.home import open_home
from flows.progress import progress
from index import build
from index.encoder import DEFAULT_MODEL, Encoder
from index.vector_cache import VectorCache
from ingest.catalogue import all_papers, count, merge_owed, papers
from ingest.errors import PaperfeedError
from ingest.layout import Home


def publish(home: Path, *, allow_shrink: bool = False) -> build.Published:
    """Embed what is new and publish a snapshot of the whole catalogue."""
    layout = Home(home)
    encoder = Encoder(os.environ.get("PAPERFEED_MODEL") or DEFAULT_MODEL)
    cache = VectorCache.open(layout.vectors, encoder.digest, encoder.dimension)
    with open_home(home) as engine, engine.connect() as db:
        merge_owed(engine)
        total = count(db, papers)
        if not total:
            raise PaperfeedError(f"{home} holds no papers yet: run  paperfeed nightly  first")
        with progress("indexing", total) as advance:
            return build.publish(
                layout.index,
                all_papers(db),
                encoder,
                cache,
                progress=advance,
                allow_shrink=allow_shrink,
            )
