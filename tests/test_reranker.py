"""The last stage, on request: a tiny random cross-encoder; its own `predict` is the oracle."""

from __future__ import annotations

import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import index
from benchmarks import beir
from benchmarks.beir import Query
from benchmarks.quality import ANSWERS, cases_of
from index.opened import Hit
from index.related import block
from index.reranker import READ_AGAIN, Reranker
from index.retriever import Retriever
from ingest.errors import EncoderError, MissingExtra
from ingest.paper import Paper
from serve import cli
from tests import tiny_bert
from tests.fake_encoder import WordEncoder, papers
from tests.process import printed
from tests.test_quality import jsonl, measured, texts
from tests.test_retriever import ids, put

COUNT = 80
QUESTION = "robots that study hands"


def tiny(folder: Path, *, labels: int = 1, headless: bool = False) -> str:
    """A model that reads pairs and knows the words of the fake papers."""
    told = " ".join(f"{p.title} {p.abstract}" for p in papers(COUNT))
    known = [*tiny_bert.MARKS, *sorted({QUESTION.split()[0], *re.findall(r"\w+", told)})]
    kind = "BertModel" if headless else "BertForSequenceClassification"
    tiny_bert.save(folder, known, kind, num_labels=labels)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny(tmp_path_factory.mktemp("cross-encoder"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    put(home, papers(COUNT))
    return home


def opened(home: Path, reranker: str | None = None) -> Retriever:
    return Retriever.open(home, encoder=WordEncoder.open, reranker=reranker)


@pytest.fixture(scope="module")
def plain(home: Path) -> Retriever:
    return opened(home)


@pytest.fixture(scope="module")
def reranked(home: Path, model: str) -> Retriever:
    return opened(home, model)


def predicted(model: str, question: str, given: list[Paper]) -> list[float]:
    """What the library says by itself; one logit, so a sigmoid is its default."""
    from sentence_transformers import CrossEncoder

    pairs = [(question, f"{p.title}. {p.abstract}") for p in given]
    return CrossEncoder(model).predict(pairs).tolist() if pairs else []


def expected(model: str, question: str, hits: list[Hit]) -> list[tuple[str, float]]:
    """Ids and scores: the first 30 by what the library says, the rest as they were, no higher."""
    first, rest = hits[:30], hits[30:]
    said = predicted(model, question, [hit.paper for hit in first])
    best = sorted(zip(ids(first), said, strict=True), key=lambda one: -one[1])
    for hit in rest:
        best.append((hit.arxiv_id, min(hit.score, best[-1][1])))
    return best


def assert_same(hits: list[Hit], wanted: list[tuple[str, float]]) -> None:
    assert ids(hits) == [arxiv_id for arxiv_id, _ in wanted]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in wanted], abs=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert all(1 >= a.score >= b.score >= 0 for a, b in pairwise(hits))


@pytest.mark.parametrize("k", [1, 10, 30, 45, 200])
def test_the_first_thirty_stand_as_the_cross_encoder_says(plain, reranked, model, k) -> None:
    assert READ_AGAIN == 30
    wanted = expected(model, QUESTION, plain.search(QUESTION, max(k, 30)))
    assert_same(reranked.search(QUESTION, k), wanted[:k])
    before = plain.search(QUESTION, 30)
    assert [one for one, _ in wanted[:30]] != ids(before)
    assert {one for one, _ in wanted[:30]} == set(ids(before))


@pytest.mark.parametrize(
    "narrowing",
    [
        {"categories": "stat.ML"},  # fewer than 30 of them
        {"since": "2025-03-10", "has_code": True},
        {"listed_only": True, "include_withdrawn": True},
        {"until": "1999-01-01"},
    ],
)
def test_a_narrowed_answer_holds_the_same_papers_in_its_order(plain, reranked, model, narrowing):
    wanted = expected(model, QUESTION, plain.search(QUESTION, 60, **narrowing))
    assert_same(reranked.search(QUESTION, 60, **narrowing), wanted)
    assert_same(reranked.search(QUESTION, 7, **narrowing), wanted[:7])


def test_every_way_of_asking_is_reranked_but_similar(plain, reranked, model) -> None:
    questions = [QUESTION, "galaxies", "speech with proofs"]
    answers = reranked.search_many(questions, 5)
    for question, answer in zip(questions, answers, strict=True):
        assert_same(answer, expected(model, question, plain.search(question, 30))[:5])
    related = reranked.related_papers(QUESTION, 4)
    assert_same(related, expected(model, QUESTION, plain.related_papers(QUESTION, 30))[:4])
    assert reranked.related_papers_block(QUESTION, 4) == block([hit.paper for hit in related])
    assert reranked.similar("2503.00009", 40) == plain.similar("2503.00009", 40)


def test_copies_are_folded_before_they_are_read_again(tmp_path: Path, model: str) -> None:
    copies = [{**p.to_record(), "title": "Robots study hands"} for p in papers(40)]
    others = [p.to_record() for p in papers(COUNT)[40:]]
    records = [{**record, "withdrawn": False} for record in copies + others]
    put(tmp_path, [Paper.from_record(record) for record in records])
    hits = opened(tmp_path, model).search(QUESTION, 41)
    assert_same(hits, expected(model, QUESTION, opened(tmp_path).search(QUESTION, 41)))
    assert len({hit.paper.title for hit in hits}) == 41


def test_papers_without_an_abstract_are_read_by_their_title(tmp_path: Path, model: str) -> None:
    given = [Paper("2503.00001", title="Hands"), Paper("2503.00002", title="Robots and hands")]
    put(tmp_path, given)
    (best, least), asked = opened(tmp_path, model).related_papers("hands"), Reranker(model)
    scores = asked.scores("hands", ["Hands", "Robots and hands"])
    assert [best.score, least.score] == pytest.approx(sorted(scores, reverse=True))


def test_threads_get_what_one_gets(reranked: Retriever) -> None:
    questions = [f"robots and {word} of galaxies" for word in ("speech", "hands", "proofs")] * 6
    alone = [reranked.search(question, 5) for question in questions]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda question: reranked.search(question, 5), questions)) == alone


def test_scores_are_sigmoids_of_the_logits_however_large(model: str, monkeypatch) -> None:
    asked = Reranker(model)
    asked.scores("hands", ["hands"])
    logits = np.array([0, 1, -800, 30, 31], np.float32)
    monkeypatch.setattr(asked._model, "predict", lambda *_, **__: logits)
    scores = asked.scores("hands", ["any"] * 5)
    assert scores[:3] == pytest.approx([0.5, 1 / (1 + np.exp(-1)), 0])
    assert 0 < 1 - scores[4] < 1 - scores[3]


def test_the_benchmark_of_quality_measures_it_too(tmp_path: Path, model: str, monkeypatch) -> None:
    monkeypatch.setenv("PAPERFEED_RERANKER", model)
    corpus = beir.read_corpus(jsonl(tmp_path / "corpus.jsonl", texts(40)))
    cases = cases_of([Query("q", QUESTION)], {"q": {"id9": 1}}, corpus, by_paper=False)
    (found,) = measured(tmp_path, corpus, cases)[ANSWERS]
    place = {paper.arxiv_id: n for n, paper in enumerate(corpus.papers)}
    by_hand = [opened(tmp_path, one).search(QUESTION, 20) for one in (model, None)]
    again, as_found = ([corpus.ids[place[hit.arxiv_id]] for hit in hits] for hits in by_hand)
    assert found == again != as_found


# --- what cannot be used


def test_nothing_is_loaded_before_the_first_question(home: Path) -> None:
    program = f"""
import sys
from index.retriever import Retriever
from tests.fake_encoder import WordEncoder
Retriever.open({str(home)!r}, encoder=WordEncoder.open).search("hands")
Retriever.open({str(home)!r}, encoder=WordEncoder.open, reranker="./no/such/model")
print({{"torch", "transformers", "sentence_transformers"}} & {{*sys.modules}} or "nothing")
"""
    assert printed(program) == "nothing\n"


def one_line(asked: Reranker) -> str:
    with pytest.raises(EncoderError) as caught:
        asked.scores("hands", ["any text", "another"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_may_be_named_from_the_home(tmp_path: Path, model: str, monkeypatch) -> None:
    shutil.copytree(model, tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    same = [Reranker(name).scores("hands", ["On robots"]) for name in ("~/mine", model)]
    assert same[0] == pytest.approx(same[1])


def test_a_hub_model_is_taken_from_the_local_cache(tmp_path: Path, model: str, monkeypatch) -> None:
    cached = tmp_path / "models--maker--small"
    shutil.copytree(model, cached / "snapshots" / ("c" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    texts = ["On hands and speech", "On robots"]
    assert Reranker("maker/small").scores("hands", texts) == pytest.approx(
        Reranker(model).scores("hands", texts)
    )


@pytest.mark.parametrize(
    "name", ["./nowhere", "/nowhere/at/all", "~nobody-here/x", "maker/unknown", "odd name?"]
)
def test_one_that_is_not_here_says_what_to_name(name: str, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = one_line(Reranker(name))
    assert said.startswith(f"cross-encoder {name!r} cannot be loaded (")
    assert said.endswith("or a hub model that  hf download NAME  brought here before")


def test_damaged_weights_are_one_line(tmp_path: Path) -> None:
    asked = Reranker(tiny(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"no weights at all")
    assert "cannot be loaded (" in one_line(asked)


@pytest.mark.parametrize("kind", [{"headless": True}, {"labels": 3}])
def test_another_kind_of_model_is_refused(tmp_path: Path, kind: dict[str, Any]) -> None:
    said = one_line(Reranker(tiny(tmp_path, **kind)))
    assert said == f"{str(tmp_path)!r} is no cross-encoder: it has no score for a pair of texts"


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    asked = Reranker(tiny(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    weights["classifier.bias"][:] = np.nan
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert "gave a score that is no number" in one_line(asked)


def test_without_torch_the_command_is_said(model: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"sentence-transformers is not .* '\.\[nightly\]'"):
        Reranker(model).scores("hands", ["hands"])


# --- the command, and the variable


@pytest.fixture
def paperfeed(home: Path, monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("PAPERFEED_HOME", str(home))
        monkeypatch.setattr(index.retriever, "_onnx_encoder", lambda: WordEncoder.open)
        monkeypatch.setattr(sys, "argv", ["paperfeed", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_the_command_reranks_by_option_or_variable(paperfeed, plain, reranked, model, monkeypatch):
    again = reranked.related_papers_block(QUESTION, 5) + "\n"
    as_found = plain.related_papers_block(QUESTION, 5) + "\n"
    assert again != as_found
    assert paperfeed("related", QUESTION, "-k", "5", "--reranker", model) == (0, again, "")
    assert paperfeed("related", QUESTION, "-k", "5") == (0, as_found, "")
    monkeypatch.setenv("PAPERFEED_RERANKER", model)
    assert paperfeed("related", QUESTION, "-k", "5") == (0, again, "")
    code, out, err = paperfeed("prompt", QUESTION, "-k", "5")
    assert (code, err) == (0, "")
    assert again.strip() in out
    monkeypatch.setenv("PAPERFEED_RERANKER", "")
    assert paperfeed("related", QUESTION, "-k", "5") == (0, as_found, "")


def test_the_module_functions_take_the_variable(home, plain, reranked, model, monkeypatch) -> None:
    monkeypatch.setattr(index.retriever, "_onnx_encoder", lambda: WordEncoder.open)
    for name, retriever in (("", plain), (model, reranked)):
        monkeypatch.setenv("PAPERFEED_RERANKER", name)
        index._opened.cache_clear()
        assert index.related_papers(QUESTION, 5, home) == retriever.related_papers(QUESTION, 5)
    index._opened.cache_clear()


def test_the_command_names_a_model_that_is_not_here(paperfeed) -> None:
    code, out, err = paperfeed("related", QUESTION, "--reranker", "./nowhere")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"paperfeed: cross-encoder '\./nowhere' cannot be loaded \(.*\n", err)
