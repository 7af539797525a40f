"""The optional last stage: a cross-encoder reads question and paper together. Torch, and lazily."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.model_folder import first_line
from ingest.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sentence_transformers import CrossEncoder

READ_AGAIN = 30
"""How many of the first papers are read again: each costs as much as embedding one."""


class Reranker:
    """A cross-encoder by its folder or its name on the Hugging Face hub; safe to use from threads.

    Nothing is loaded here: that happens with the first question, from this disk alone.
    """

    def __init__(self, model: str) -> None:
        self.name = model
        self._model: CrossEncoder | None = None
        self._turn = threading.Lock()  # its tokenizer is one mutable object

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """(len(texts),) how well each text answers the question, in [0, 1]: the logit's sigmoid.

        A pair too long for the model is cut. Raises MissingExtra where sentence-transformers is
        not installed, EncoderError for a model that cannot be loaded, or gives no number.
        """
        if not texts:
            return np.zeros(0)
        with self._turn:
            if self._model is None:
                self._model = _loaded(self.name)
            pairs = [(question, text) for text in texts]
            logits = self._model.predict(pairs, activation_fn=_as_it_is, show_progress_bar=False)
        if not np.isfinite(logits).all():
            raise EncoderError(f"cross-encoder {self.name} gave a score that is no number")
        sigmoid: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
        return sigmoid


def _as_it_is(logits: Any) -> Any:  # noqa: ANN401 -- a tensor; torch is not imported here
    return logits


def _loaded(name: str) -> CrossEncoder:
    from index.encoder import libraries  # only now: whoever reranks nothing needs none of it

    _, library = libraries()
    try:
        folder = Path(name).expanduser()
        chosen = str(folder) if folder.is_dir() else name
        model: CrossEncoder = library.CrossEncoder(chosen, local_files_only=True)
    except Exception as error:  # each of four libraries fails in its own way
        raise EncoderError(
            f"cross-encoder {name!r} cannot be loaded ({first_line(error)}): name a folder that"
            " holds one, or a hub model that  hf download NAME  brought here before"
        ) from error
    built, config = type(model.model).__name__, getattr(model.model, "config", None)
    saved = (config and config.architectures) or [built]
    # The library gives a model of another kind a last layer of random numbers.
    if model.num_labels != 1 or built not in saved:
        raise EncoderError(f"{name!r} is no cross-encoder: it has no score for a pair of texts")
    return model
