"""Where everything lies under one PAPERFEED_HOME: the only file that knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one paperfeed; nothing is made until something is written."""

    path: Path

    @property
    def raw(self) -> Path:
        """Responses as received, immutable."""
        return self.path / "raw"

    @property
    def catalogue(self) -> Path:
        """The SQLite file; `paperfeed replay` rebuilds it from `raw`."""
        return self.path / "catalogue.sqlite"

    @property
    def vectors(self) -> Path:
        """Vectors by content hash, one folder an encoder."""
        return self.path / "vectors"

    @property
    def encoders(self) -> Path:
        """Query encoders as ONNX, one folder an encoder."""
        return self.path / "encoders"

    @property
    def index(self) -> Path:
        """Snapshots, and CURRENT."""
        return self.path / "index"

    @property
    def lock(self) -> Path:
        """Held by the one run that may write."""
        return self.path / "run.lock"
