from __future__ import annotations

import json
import lzma
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import beir, quality
from benchmarks.beir import Corpus, Query
from benchmarks.quality import ANSWERS, DENSE, WORDS, answers, cases_of, main, scores, table
from index.encoder import DEFAULT_MODEL
from index.retriever import Retriever
from ingest import ids
from ingest.errors import BadInput
from tests.fake_encoder import TOPICS, WordEncoder, row

# Ids as other collections have them: none is arXiv's.
OWN = ["12345", "0a1b2c", "conf:eccv2022:42305", "../x", "solv-int/9812013", "S2:9 9", "Ünï", "8"]


def texts(count: int) -> list[dict[str, str]]:
    return [
        {
            "_id": OWN[n] if n < len(OWN) else f"id{n}",
            "title": f"On {TOPICS[n % 7]} \n and {TOPICS[n // 7 % 7]}, part {n}",
            "text": f"We study {TOPICS[n % 7]}\nin setting {n}.",
        }
        for n in range(count)
    ]


def jsonl(file: Path, entries: Iterable[object]) -> Path:
    opened = lzma.open if file.suffix == ".xz" else open
    with opened(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(entry) + "\n" for entry in entries)
    return file


def tsv(file: Path, *rows: tuple[object, ...]) -> Path:
    lines = [("query-id", "corpus-id", "score"), *rows]
    file.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines), "utf-8")
    return file


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return beir.read_corpus(jsonl(tmp_path / "corpus.jsonl.xz", texts(40)))


def measured(home: Path, corpus: Corpus, cases, encoder=None, **rows) -> dict[str, list[list[str]]]:
    encoder = encoder or WordEncoder()
    return answers(home, corpus, cases, encoder, open_encoder=WordEncoder.open, **rows)


def test_ids_of_any_kind_become_rising_arxiv_ids_and_titles_one_line(corpus: Corpus):
    assert corpus.ids[:3] == ["12345", "0a1b2c", "conf:eccv2022:42305"]
    assert [p.arxiv_id for p in corpus.papers[:2]] == ["1501.00001", "1501.00002"]
    assert corpus.papers[8].title == "On hands and hands, part 8"
    assert corpus.papers[8].abstract == "We study hands in setting 8."
    made = [beir.made_up_id(place) for place in (0, 99_998, 99_999, 12 * 99_999 - 1, 12 * 99_999)]
    assert made == ["1501.00001", "1501.99999", "1502.00001", "1512.99999", "1601.00001"]
    assert all(ids.parse(one).base == one for one in made)


def test_each_way_finds_what_it_should_and_no_vector_given_is_made_again(tmp_path, corpus):
    class Counting(WordEncoder):
        embedded = 0

        def batches(self, given):
            self.embedded += len(given)
            return super().batches(given)

    query = Query("q", "which papers are about robots and speech?")
    (case,) = cases_of([query], {"q": {"id9": 1}}, corpus, by_paper=False)
    documents = np.stack([row(f"{p.title}. {p.abstract}") for p in corpus.papers])
    titles = np.stack([row(p.title) for p in corpus.papers])
    encoder = Counting()
    found = measured(tmp_path, corpus, [case], encoder, documents=documents * 3, titles=titles)
    assert encoder.embedded == 16  # eight of each are made, to be compared
    exact = np.argsort(-(documents @ row(query.text)), kind="stable")[:20]
    assert found[DENSE] == [[corpus.ids[n] for n in exact]]
    assert {
        corpus.papers[corpus.ids.index(one)].title.split()[1] for one in found[WORDS][0][:5]
    } <= {
        "robots",
        "speech",
    }
    product = Retriever.open(tmp_path, encoder=WordEncoder.open).search(query.text, 20)
    place = {p.arxiv_id: n for n, p in enumerate(corpus.papers)}
    assert found[ANSWERS] == [[corpus.ids[place[hit.arxiv_id]] for hit in product]]


def test_by_paper_asks_by_id_or_title_and_never_finds_the_paper_itself(tmp_path, corpus):
    queries = [
        Query("12345", ""),
        Query("other", "on HANDS and hands: part 8"),
        Query("x", "Not one"),
    ]
    qrels = {"12345": {"id14": 2, "12345": 3}, "other": {"id15": 1}, "x": {"id15": 1}}
    cases = cases_of(queries, qrels, corpus, by_paper=True)
    assert [(case.paper, case.judged) for case in cases] == [(0, {"id14": 2}), (8, {"id15": 1})]
    for way, found in measured(tmp_path, corpus, cases).items():
        assert "12345" not in found[0], way
        assert "id8" not in found[1], way
        assert len(found[0]) == 20, way
    similar = Retriever.open(tmp_path, encoder=WordEncoder.open).similar("1501.00001", 20)
    place = {p.arxiv_id: n for n, p in enumerate(corpus.papers)}
    by_hand = [corpus.ids[place[hit.arxiv_id]] for hit in similar]
    assert measured(tmp_path / "again", corpus, cases)[ANSWERS][0] == by_hand


def test_what_cannot_be_measured_is_said(tmp_path, corpus, capsys):
    untitled = Corpus([*corpus.ids, "bare"], [*corpus.papers, None])
    queries = [
        Query("a", "hands"),
        Query("b", "robots"),
        Query("c", "speech"),
        Query("e", "graphs"),
    ]
    qrels = {"a": {"8": 1, "gone": 1, "away": 2}, "b": {"gone": 1}, "d": {"8": 1}, "e": {"8": 0}}
    cases = cases_of(queries, qrels, untitled, by_paper=False)
    assert [case.query.id for case in cases] == ["a"]
    assert capsys.readouterr().err.splitlines() == [
        "1 papers have no title and are left out: bare",
        "1 judged questions are in no question file: d",
        "3 questions cannot be measured and are left out: b, c, e",
        "1 questions have relevant papers that the corpus lacks, 2 in all, not found: a",
    ]
    with pytest.raises(BadInput, match="do the three files match"):
        cases_of(queries[1:], qrels, corpus, by_paper=False)


def test_scores_are_those_of_the_definitions():
    case = quality.Case(Query("q", "?"), None, {"a": 3, "b": 1, "c": 2, "d": 0})
    other = quality.Case(Query("q", "?"), None, {"z": 1})
    runs = {ANSWERS: [["x", "b", "d", "a", *"mnopqr"], []], DENSE: [list("abcd"), ["z"]]}
    given = scores([case, other], runs)
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    found = 1 / math.log2(3) + 3 / math.log2(5)
    assert given[ANSWERS]["nDCG@10"] == pytest.approx([found / ideal, 0])
    assert given[ANSWERS]["recall@5"] == pytest.approx([2 / 3, 0])
    assert given[ANSWERS]["recall@20"] == pytest.approx([2 / 3, 0])
    assert given[ANSWERS]["MRR"] == pytest.approx([1 / 2, 0])
    dense = (3 + 1 / math.log2(3) + 2 / 2) / ideal
    assert given[DENSE]["nDCG@10"] == pytest.approx([dense, 1])


def test_the_table_shows_means_with_intervals_and_gains():
    half = np.array([0, 1] * 50, np.float32)
    values = {DENSE: half / 2, WORDS: half / 4, ANSWERS: half}
    shown = table({way: {"nDCG@10": column} for way, column in values.items()}).splitlines()
    assert shown[0].split() == ["100", "questions", "nDCG@10"]
    low, high = (float(edge) for edge in shown[3].split("[")[1].strip("]").split(","))
    # The mean of 100 throws of a coin: 0.5, give or take 1.96 standard errors of 0.05.
    assert shown[3].split()[3] == "0.500"
    assert (low, high) == (pytest.approx(0.402, abs=0.015), pytest.approx(0.598, abs=0.015))
    assert f"over {DENSE}: +100.0 % [+100.0, +100.0]" in shown[4]
    assert f"over {WORDS}: +300.0 % [+300.0, +300.0]" in shown[5]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("corpus.jsonl", b"", "holds no paper: each line is an object with _id"),
        ("corpus.jsonl", b"{}\n", "line 1: has no _id"),
        ("corpus.jsonl", b'{"_id": "1"}\n[1]\n', "line 2: is not a JSON object"),
        ("corpus.jsonl", b'{"_id": "1"}\n\n{"_id"', "line 3: is not JSON"),
        ("corpus.jsonl", b'{"_id": "1", "title": 5}', "line 1: title is no text"),
        ("corpus.jsonl", b'{"_id": 1, "title": "A"}\n{"_id": "1"}', "the _id 1 more than once"),
        ("corpus.jsonl", b"\xff\xfe", "cannot be read"),
        ("corpus.jsonl.xz", b"not packed", "cannot be read"),
        ("queries.jsonl", b"\n", "holds no question"),
        ("qrels.tsv", b"query-id\tcorpus-id\tscore\n", "holds no judgment"),
        ("qrels.tsv", b"query-id\tcorpus-id\tscore\nq\td\tmuch\n", "line 2: write query-id"),
        ("qrels.tsv", b"query-id\tcorpus-id\tscore\nq d 1\n", "line 2: write query-id"),
        ("rows.npy", b"\x93NUMPY", "cannot be read as a .npy file"),
        ("rows.npy", b"", "cannot be read as a .npy file"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, name, body, said):
    file = tmp_path / name
    file.write_bytes(body)
    read = {
        "corpus": beir.read_corpus,
        "queries": beir.read_queries,
        "qrels": beir.read_qrels,
        "rows": lambda file: beir.read_rows(file, 2, 3),
    }[name.split(".")[0]]
    with pytest.raises(BadInput) as caught:
        read(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones((2, 4)), r"holds \(2, 4\), but \(2, 3\) rows are needed"),
        (np.zeros((2, 3)), "no direction"),
        (np.full((2, 3), np.nan), "no direction"),
        (np.array([["a"] * 3] * 2), "cannot be read as a .npy file"),
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path: Path, rows, said):
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(BadInput, match=said):
        beir.read_rows(tmp_path / "rows.npy", 2, 3)


def test_rows_of_another_order_are_refused(tmp_path, corpus):
    cases = cases_of([Query("q", "hands")], {"q": {"8": 1}}, corpus, by_paper=False)
    documents = np.stack([row(f"{p.title}. {p.abstract}") for p in corpus.papers])
    with pytest.raises(BadInput, match="row 0 of the rows given is not what words makes"):
        measured(tmp_path, corpus, cases, documents=documents[::-1])


def test_the_command_says_a_missing_file_in_one_line(tmp_path, capsys):
    gone = str(tmp_path / "gone.jsonl")
    assert main(["--corpus", gone, "--queries", gone, "--qrels", gone]) == 2
    assert capsys.readouterr().err == f"{gone} cannot be read: No such file or directory\n"


def test_the_command_prints_the_table(tmp_path, monkeypatch, capsys):
    class Named(WordEncoder):
        def __init__(self, model: str) -> None:
            assert model == DEFAULT_MODEL
            super().__init__()

    monkeypatch.delenv("PAPERFEED_MODEL", raising=False)
    monkeypatch.setattr("index.encoder.Encoder", Named)
    monkeypatch.setattr("index.retriever._onnx_encoder", lambda: WordEncoder.open)
    corpus = jsonl(tmp_path / "corpus.jsonl", texts(30))
    queries = jsonl(tmp_path / "queries.jsonl", [{"_id": 7, "text": "Hands in setting 8"}])
    qrels = tsv(tmp_path / "qrels.tsv", (7, "id8", "1.0"))
    files = ["--corpus", str(corpus), "--queries", str(queries), "--qrels", str(qrels)]
    assert main(files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["1", "questions", "nDCG@10", "recall@5", "recall@20", "MRR"]
    assert lines[3].startswith(f"{ANSWERS}     1.000 [1.000, 1.000]")


def test_real_questions_and_judgments_are_read(shared: Path):
    bench = shared / "bench"
    for name, count in (("spar", 48), ("autoscholar", 316)):
        assert len(beir.read_queries(bench / name / "queries.jsonl")) == count
        qrels = beir.read_qrels(bench / name / "qrels.tsv")
        assert len(qrels) == count
        assert "query-id" not in qrels


def test_a_missing_library_is_said_before_anything_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    gone = str(tmp_path / "gone.jsonl")
    assert main(["--corpus", gone, "--queries", gone, "--qrels", gone]) == 2
    assert capsys.readouterr().err.startswith("ir-measures is not installed: ")
