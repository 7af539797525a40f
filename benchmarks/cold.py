"""A question put to a fresh process: `paperfeed related`, and txtai from a saved index."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ingest.errors import PaperfeedError

ROOT = Path(__file__).parents[1]
RUNS = 5
OURS, THEIRS = "paperfeed", "txtai"
_CODE = {
    OURS: "import sys; from serve.cli import main; sys.argv[1:1] = ['related']; main()",
    THEIRS: """
import sys
from txtai import Embeddings
index = Embeddings()
index.load(sys.argv[1])
for hit in index.search(sys.argv[2], 3):
    print(hit["id"], hit["text"])
""",
}


def seconds(home: Path, saved: Path, question: str, runs: int = RUNS) -> dict[str, list[float]]:
    """Seconds of each process from start to printed papers, alternately.

    txtai's stands there only where an index was saved. Raises PaperfeedError where one fails.
    """
    given = {OURS: [question]} | ({THEIRS: [str(saved), question]} if saved.exists() else {})
    took: dict[str, list[float]] = {name: [] for name in given}
    for _ in range(runs):
        for name, arguments in given.items():
            took[name].append(_one(name, arguments, home))
    return took


def _one(name: str, arguments: list[str], home: Path) -> float:
    places = os.environ | {"PAPERFEED_HOME": str(home.resolve()), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", _CODE[name], *arguments]
    began = time.perf_counter()
    done = subprocess.run(command, env=places, cwd=ROOT, capture_output=True, text=True)  # noqa: PLW1510, S603 -- our own, looked at below
    took = time.perf_counter() - began
    if done.returncode or not done.stdout.strip():
        raise PaperfeedError(f"{name} as a fresh process failed: {done.stderr.strip()[-300:]}")
    return took
