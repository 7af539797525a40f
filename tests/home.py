"""A home filled from the sample, for tests that need one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from data.sample.replay import Replay
from tests.conftest import ROOT
from tests.fake_encoder import Rows, WordEncoder

SAMPLE = ROOT / "data" / "sample"
DAYS = sorted(file.stem for file in (SAMPLE / "huggingface").glob("*.json"))
NIGHT = DAYS[-1]


@contextmanager
def served(home: Path) -> Iterator[Replay]:
    """The replay running, and the environment pointing to it and to `home`."""
    with Replay() as replay, patch.dict(os.environ, environment(replay, home)):
        yield replay


@contextmanager
def embedded_by_words(seconds: float = 0) -> Iterator[None]:
    """Without torch: rows made of words, each batch, and the export, taking so long."""

    class Words(WordEncoder):
        def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Rows]]:
            for batch in super().batches(texts):
                yield batch
                time.sleep(seconds)

        def export(self, folder: Path) -> None:
            time.sleep(seconds)
            super().export(folder)

    with patch("flows.publish.Encoder", lambda _: Words()):
        yield


def environment(replay: Replay, home: Path) -> dict[str, str]:
    return {**replay.env, "PAPERFEED_HOME": str(home), "PAPERFEED_MODEL": ""}


def night(home: Path) -> str:
    """The sample's night as the flow does it, without Prefect; gives the snapshot's id."""
    from flows import steps
    from flows.publish import publish

    steps.record(home)
    for day in steps.open_days(home, NIGHT, len(DAYS)):
        steps.fetch_day(home, day, NIGHT)
    steps.record(home)
    steps.enrich(home, NIGHT)
    steps.record(home)
    return publish(home).snapshot_id


def exported(home: Path, out: Path) -> bytes:
    """What `paperfeed export` writes."""
    from serve import inspect

    inspect.export(home, "jsonl", out)
    return out.read_bytes()
