"""The catalogue of models: its file, and which model is recommended for a question."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest

from index.lexical import tokens
from index.models import Model, ModelSearch, parse_models, read_models
from index.text import TITLE
from ingest import ids
from ingest.errors import BadInput
from tests.fake_encoder import papers, row
from tests.test_retriever import by_hand, opened, put, words_weight

FEED = papers(30)
HELD = FEED[3]  # on graphs and diffusion
CATALOGUE = (
    Model("Held", f"https://arxiv.org/abs/{HELD.arxiv_id}v7", description="opens doors"),
    Model("Speaker", "https://x/speech", description="turns speech into text"),
    Model("Stargazer", "2501.99999", description="finds galaxies in images of the sky"),
    Model("Silent", "https://x/silent"),
)


def lines(*told: object) -> bytes:
    return "\n".join(json.dumps(one) for one in told).encode()


def test_a_catalogue_is_read():
    full = {"name": "A", "paper": "https://x/a", "github": "https://g/a", "description": "d"}
    told = (
        b"\xef\xbb\xbf" + lines(full) + b"\r\n\n  \n" + lines({"name": "B", "paper": "x", "y": 1})
    )
    assert parse_models(told, "f") == (
        Model("A", "https://x/a", "https://g/a", "d"),
        Model("B", "x"),
    )


def test_a_bare_id_becomes_an_address_and_a_line_separator_in_text_ends_no_line():
    told = '{"name": "A\u2028B", "paper": "arXiv:2302.13971v1", "github": null}'.encode()
    assert parse_models(told, "f") == (Model("A\u2028B", "https://arxiv.org/pdf/2302.13971v1"),)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"", "f holds no model: write one JSON object a line"),
        (b"\n{", "f, line 2: is not JSON: Expecting property name.*"),
        (b"[" * 100_000, "f, line 1: is not JSON: .*"),
        (b'{"name": "\xff"}', "f, line 1: is not UTF-8"),
        (b'["a"]', "f, line 1: is not a JSON object"),
        (lines({"paper": "x"}), "f, line 1: has no name"),
        (lines({"name": "", "paper": "x"}), "f, line 1: has no name"),
        (lines({"name": "A"}), "f, line 1: has no paper"),
        (lines({"name": "A", "paper": 2302.13971}), "f, line 1: paper is no text: 2302.13971"),
        (lines(*[{"name": "A", "paper": "x"}] * 2), "f, line 2: there is a model 'A' above"),
    ],
)
def test_a_bad_line_is_named(told, why):
    with pytest.raises(BadInput, match=f"^{why}$"):
        parse_models(told, "f")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"^.*none.jsonl cannot be read: No such file or directory$"):
        read_models(tmp_path / "none.jsonl")


def test_the_bundled_catalogue_holds_ten_models_with_arxiv_papers_and_code():
    models = read_models()
    assert len(models) == 10
    known = {model.name: ids.parse(model.paper).base for model in models}
    assert known["BERT"] == "1810.04805"
    assert known["CLIP"] == "2103.00020"
    assert known["Segment Anything"] == "2304.02643"
    assert known["Whisper"] == "2212.04356"
    assert known["Stable Diffusion"] == "2112.10752"
    assert len(set(known.values())) == 10
    for model in models:
        assert model.github is not None
        assert model.github.startswith("https://github.com/")
        assert model.description is not None
        assert model.description.endswith(".")


@pytest.fixture(scope="module")
def retriever(tmp_path_factory):
    return opened(put(tmp_path_factory.mktemp("home"), FEED))


def bm25(texts: list[str], query: str) -> np.ndarray:
    """BM25 from its definition, Lucene's variant, k1 1.2 and b 0.75."""
    counts = [Counter(tokens(text)) for text in texts]
    mean = sum(sum(count.values()) for count in counts) / len(counts)
    scores = []
    for count in counts:
        score, length = 0.0, sum(count.values())
        for stem in tokens(query):
            held = sum(stem in other for other in counts)
            idf = math.log(1 + (len(counts) - held + 0.5) / (held + 0.5))
            score += idf * count[stem] / (count[stem] + 1.2 * (1 - 0.75 + 0.75 * length / mean))
        scores.append(score)
    return np.array(scores)


@pytest.mark.parametrize(
    "question",
    ["graphs and diffusion", "galaxies in the sky", "speech", "doors", "number 3 of many", "zebra"],
)
def test_models_are_ranked_by_their_papers_rows_and_all_their_words(retriever, question):
    texts = [f"{m.name}. {m.description}" if m.description else m.name for m in CATALOGUE]
    held = f"{HELD.title}. {HELD.abstract}"
    theirs = row(held) + TITLE * row(HELD.title)
    rows = [theirs / np.linalg.norm(theirs), *map(row, texts[1:])]
    words = bm25([f"{texts[0]}\n{held}", *texts[1:]], question)
    weight, every = words_weight(FEED), np.ones(len(CATALOGUE), bool)
    expected = by_hand(row(question), np.array(rows), words, weight, every)
    found = ModelSearch(retriever, CATALOGUE).search(question, 4)
    assert [r.rank for r in found] == [1, 2, 3, 4]
    assert [r.name for r in found] == [CATALOGUE[n].name for n in expected]
    scores = np.array(list(expected.values())) / (1 + 0.7 + weight)
    assert [r.score for r in found] == pytest.approx(scores.clip(0, 1), abs=1e-5)


def test_as_many_are_found_as_wanted_and_there_are(retriever):
    search = ModelSearch(retriever, CATALOGUE)
    assert search.search("speech", 0) == []
    assert [r.name for r in search.search("speech")] == ["Speaker"]
    assert len(search.search("speech", 99)) == 4


def test_a_paper_that_a_new_snapshot_brings_is_used(tmp_path):
    home = tmp_path / "home"
    put(home, FEED[:3])
    retriever = opened(home)
    search = ModelSearch(retriever, CATALOGUE)
    question = f"{HELD.title}. {HELD.abstract}"
    before = {r.name: r.score for r in search.search(question, 4)}
    put(home, FEED)
    after = {r.name: r.score for r in search.search(question, 4)}
    assert max(after, key=after.__getitem__) == "Held"
    assert before["Held"] < after["Held"]
