"""The files of an exported query encoder, written without torch and moved into place whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from index.query_encoder import CARD, WEIGHTS
from ingest.errors import EncoderError

if TYPE_CHECKING:
    from pathlib import Path


def split(traced: Path, path: Path) -> None:
    """Puts the graph at `path`, its weights beside it: mapped, they open in a third of the time."""
    import onnx

    graph = onnx.load(traced)
    for left in traced.parent.iterdir():  # over 2 GB, the exporter has split it in its own way
        left.unlink()
    onnx.save_model(graph, path, save_as_external_data=True, location=WEIGHTS)


def write_tokenizer(own: Any, max_tokens: int, path: Path) -> None:  # noqa: ANN401 - untyped there
    """A transformers tokenizer, its cut and its padding inside, so that a reader just runs it.

    Raises EncoderError when it is not one of those that the tokenizers library can run.
    """
    from tokenizers import Tokenizer

    if not hasattr(own, "backend_tokenizer"):
        raise EncoderError("the model has no fast tokenizer, and cannot be exported")
    alone = Tokenizer.from_str(own.backend_tokenizer.to_str())
    alone.enable_truncation(max_tokens, direction=own.truncation_side)
    alone.enable_padding(
        direction=own.padding_side,
        pad_id=own.pad_token_id,
        pad_token=own.pad_token,
        pad_type_id=own.pad_token_type_id,
    )
    path.write_text(alone.to_str(), "utf-8")


def move(aside: Path, folder: Path) -> None:
    """Moves the finished files into `folder`, the card last: a folder with a card is whole."""
    (folder / CARD).unlink(missing_ok=True)
    for path in sorted(aside.iterdir(), key=lambda path: path.name == CARD):
        path.chmod(0o644)  # torch writes for its own user only; a prompt builder may be another
        _flush(path)
        path.replace(folder / path.name)
    _flush(folder)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
