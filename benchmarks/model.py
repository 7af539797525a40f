"""The peers' encoder: the same model, through sentence-transformers."""

from __future__ import annotations

import time
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from flows.progress import say

_TRIES = 20
_QUESTION = "Which papers study how people learn to draw hands with the right number of fingers?"


@cache
def loaded(folder: Path) -> Any:  # noqa: ANN401 -- loaded only where it is installed
    """The model, one for all that do not bring their own."""
    import_module("transformers").utils.logging.disable_progress_bar()
    return import_module("sentence_transformers").SentenceTransformer(str(folder))


def settle_threads(model: Any) -> int:  # noqa: ANN401 -- as above
    """Let torch run on one thread or on all, whichever encodes a question faster; give how many.

    Where a processor is shared with others, torch on all cores can take many times as long for
    one question as on one: peers shall not look slow for that.
    """
    torch = import_module("torch")
    took: dict[int, list[float]] = {1: [], torch.get_num_threads(): []}
    for _ in range(_TRIES):  # in turns, so that other work hits both alike
        for threads, each in took.items():
            torch.set_num_threads(threads)
            model.encode(_QUESTION)  # whatever the change itself costs
            began = time.perf_counter()
            model.encode(_QUESTION)
            each.append(1000 * (time.perf_counter() - began))
    best = min(took, key=lambda threads: median(took[threads]))
    torch.set_num_threads(best)
    told = ", ".join(f"{threads}: {median(each):.1f} ms" for threads, each in took.items())
    say(f"sentence-transformers encodes a question, by threads of torch: {told}")
    return best
