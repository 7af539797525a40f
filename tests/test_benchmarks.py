"""The benchmarks' own parts by their values, and each measurement in a tiny size."""

from __future__ import annotations

import json
import math
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import (
    cold,
    embed,
    evening,
    model,
    peers,
    plots,
    publish,
    query,
    report,
    scale,
    setting,
)
from benchmarks.beir import Query
from benchmarks.setting import Made
from benchmarks.variations import NOISE, OTHER, Variations, mixed_rows
from index.retriever import Retriever
from index.vector_cache import VectorCache
from ingest.errors import BadInput, PaperfeedError
from ingest.layout import Home
from ingest.paper import Paper
from tests.fake_encoder import WordEncoder
from tests.process import printed


@pytest.fixture
def made(tmp_path) -> Made:
    return setting.embedded(setting.made_up(40), tmp_path / "kept", WordEncoder())


@pytest.fixture
def beir_files(tmp_path):
    corpus, queries, qrels = (tmp_path / name for name in ("c.jsonl", "q.jsonl", "qrels.tsv"))
    corpus.write_text(
        "".join(json.dumps({"_id": f"x:{n}", "title": f"T{n}", "text": "a"}) + "\n" for n in "abc")
    )
    queries.write_text('{"_id": "one", "text": "What?"}\n')
    qrels.write_text("query-id\tcorpus-id\tscore\none\tx:b\t2\none\tgone\t1\n")
    return corpus, queries, qrels


# --- what is measured on


def test_a_made_up_question_names_both_topics_of_the_paper_that_answers_it():
    chosen = setting.made_up(30)
    titles = {paper.arxiv_id: paper.title for paper in chosen.papers}
    assert len(set(titles.values())) == 30
    assert list(titles) == sorted(titles)
    for one in chosen.queries:
        (answer,) = chosen.qrels[one.id]
        assert all(topic in titles[answer] for topic in one.id.split(" with "))
    assert chosen == setting.made_up(30)


def test_files_are_read_under_ids_that_paperfeed_can_keep(beir_files, tmp_path):
    corpus, queries, qrels = beir_files
    np.save(tmp_path / "rows.npy", np.eye(3, dtype=np.float16))
    chosen = setting.read(corpus, tmp_path / "rows.npy", [(queries, qrels)])
    assert [paper.title for paper in chosen.papers] == ["Ta", "Tb", "Tc"]
    assert chosen.qrels == {"one": {chosen.papers[1].arxiv_id: 2}}
    assert chosen.documents.tolist() == np.eye(3).tolist()


def test_a_limit_keeps_what_answers_questions_and_the_rows_of_what_it_keeps():
    papers = [Paper(f"2501.0000{n}", title=str(n)) for n in range(1, 10)]
    qrels = {"q": {papers[6].arxiv_id: 1}}
    whole = setting.Setting("s", papers, [], qrels, np.arange(9, dtype=np.float32)[:, None])
    three = setting.limited(whole, 3)
    assert [paper.title for paper in three.papers] == ["1", "7", "9"]
    assert three.documents[:, 0].tolist() == [0, 6, 8]
    assert three.qrels == qrels
    assert setting.limited(whole, 99).papers == papers
    with pytest.raises(BadInput, match="0 is too few"):
        setting.limited(whole, 0)


def test_rows_given_or_made_before_are_not_made_again(tmp_path):
    class Counting(WordEncoder):
        texts = 0

        def batches(self, texts):
            self.texts += len(texts)
            return super().batches(texts)

    chosen, encoder = setting.made_up(5), Counting()
    given = np.eye(5, encoder.dimension, dtype=np.float32)
    made = setting.embedded(chosen._replace(documents=given), tmp_path, encoder)
    assert encoder.texts == 5  # the titles
    assert made.documents.tolist() == given.tolist()
    setting.embedded(chosen, tmp_path, encoder)
    assert encoder.texts == 5


# --- more papers than there are


def test_the_first_rows_are_the_given_ones_and_the_others_lie_near_both_of_theirs():
    rows = np.eye(200, dtype=np.float32)[:3]
    mixed = mixed_rows(rows, np.arange(6), 0)
    assert mixed[:3].tolist() == rows.tolist()
    np.testing.assert_allclose(np.linalg.norm(mixed, axis=1), 1, rtol=1e-6)
    # Number 4 is made of 1 and of 1 + 7919 = 0 (of 3): orthogonal, as is noise, nearly.
    length = math.sqrt(1 + OTHER**2 + NOISE**2)
    assert mixed[4, 1] == pytest.approx(1 / length, abs=0.15)
    assert mixed[4, 0] == pytest.approx(OTHER / length, abs=0.15)


def test_variations_are_new_papers_in_the_order_of_their_ids(made, tmp_path):
    papers = setting.made_up(40).papers
    varied = Variations(papers, made.titles, made.documents, 130)
    out = list(varied)
    assert out[:40] == papers
    assert [one.arxiv_id for one in out] == sorted({one.arxiv_id for one in out})
    assert len({one.title for one in out}) == 130
    sentences = {part for one in papers for part in one.abstract.rstrip(".").split(". ")}
    assert set(out[100].abstract.rstrip(".").split(". ")) <= sentences
    cache = VectorCache.open(tmp_path / "varied", "d" * 16, 32)
    varied.keep(cache)
    np.testing.assert_allclose(cache.rows([papers[7].title]), made.titles[7:8], atol=1e-6)
    assert cache.missing([out[129].title]) == []


# --- tables


def test_a_table_is_markdown_with_figures_of_three_digits():
    told = report.table(["what", "ms"], [["ours", 0.12345], ["theirs", 1234.5], ["none", None]])
    assert told.splitlines() == [
        "| what   | ms    |",
        "|--------|-------|",
        "| ours   | 0.123 |",
        "| theirs | 1,234 |",
        "| none   |       |",
    ]


def test_a_section_is_replaced_where_it_stands_or_comes_last():
    page = "# Top\n\n<!-- a -->\nold\n<!-- /a -->\n\nend\n"
    once = report.replaced(page, "a", r"new \1")
    assert once == "# Top\n\n<!-- a -->\nnew \\1\n<!-- /a -->\n\nend\n"
    assert report.replaced("# Top\n", "b", "x") == "# Top\n\n<!-- b -->\nx\n<!-- /b -->\n"


def test_what_is_shown_is_written_only_where_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("# Top\n")
    report.show("a", "not written", write=False)
    assert (tmp_path / "README.md").read_text() == "# Top\n"
    report.show("a", "told", write=True)
    written = (tmp_path / "README.md").read_text()
    assert written.startswith("# Top\n\n<!-- a -->\ntold\n\n")
    assert " cores, " in written
    assert "told" in capsys.readouterr().out


def test_a_promise_is_kept_or_missed():
    assert report.wanted("p50", 5.5, 6) == "- kept: p50 5.5, at most 6"
    assert report.wanted("p50", 6.5, 6) == "- MISSED: p50 6.5, at most 6"
    assert report.wanted("times", 3.9, 4, least=True) == "- MISSED: times 3.9, at least 4"


def test_a_plot_is_the_same_bytes_for_the_same_figures(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="plots need the bench extra")
    monkeypatch.setattr(plots, "PLOTS", tmp_path)
    drawn = []
    for _ in range(2):
        plots.bars("b", "one question", {"paperfeed": 5.0, "another": 25.0})
        plots.lines("l", "one question", [10, 1000], {"p50": [1.0, 2.0]})
        drawn.append([(tmp_path / f"{name}.svg").read_text() for name in "bl"])
    assert drawn[0] == drawn[1]
    assert ">paperfeed</text>" in drawn[0][0]
    assert ">1,000</text>" in drawn[0][1]


# --- questions


class Echo:
    """A peer that finds papers a to c, rotated."""

    def __init__(self, name, ids):
        self.name, self.ids, self.asked = name, ids, []

    def answer(self, question):
        self.asked.append(question)
        return peers.Answer(self.ids, "block")


def test_all_peers_are_asked_all_questions_in_turns(monkeypatch):
    monkeypatch.setattr(query, "REST_SECONDS", 0)
    both = [Echo("one", ["a", "b"]), Echo("two", ["b", "a"])]
    asked = [Query("q1", "first?"), Query("q2", "second?")]
    millis, runs = query.race(both, asked, 3)
    assert both[0].asked == both[1].asked == ["first?", "second?"] * 4  # once to warm up
    assert {name: len(took) for name, took in millis.items()} == {"one": 6, "two": 6}
    assert [list(run) for run in runs.values()] == [["q1", "q2"]] * 2
    assert [run["q2"] for run in runs.values()] == [["a", "b"], ["b", "a"]]


def test_ndcg_counts_questions_that_were_asked_and_have_an_answer():
    pytest.importorskip("ir_measures", reason="scores need the bench extra")
    runs = {"ours": {"q": ["a", "b"], "hopeless": ["a"]}, "theirs": {"q": ["b", "a"]}}
    qrels = {"q": {"a": 1}, "hopeless": {}, "not asked": {"a": 1}}
    good = query.ndcg(runs, qrels)
    assert good == pytest.approx({"ours": 1.0, "theirs": 1 / math.log2(3)})


def test_the_answers_of_paperfeed_are_those_of_its_retriever(tmp_path):
    chosen = setting.made_up(40)
    query.published(chosen, tmp_path, WordEncoder())
    retriever = Retriever.open(tmp_path, encoder=WordEncoder.open)
    asked = chosen.queries[3]
    answer = peers.Paperfeed(retriever).answer(asked.text)
    assert answer.ids[0] in chosen.qrels[asked.id]
    assert answer.block == retriever.related_papers_block(asked.text, peers.K)


def test_files_that_do_not_go_together_are_one_line(capsys, tmp_path):
    assert query.main(["--corpus", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err == "give --corpus, --queries and --qrels together\n"


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Thirty made-up papers and their rows by the real model, which txtai loads itself."""
    pytest.importorskip("sentence_transformers", reason="peers need the model")
    from index.encoder import DEFAULT_MODEL, Encoder
    from index.model_folder import ModelFolder

    folder = tmp_path_factory.mktemp("peers")
    made = setting.embedded(setting.made_up(30), folder, Encoder())
    model = ModelFolder.locate(DEFAULT_MODEL).path
    return peers.Material(folder, made.ids, made.texts, made.documents, model)


@pytest.mark.parametrize("peer", peers.NEEDS, ids=lambda peer: peer.__name__)
def test_a_peer_finds_a_paper_by_its_own_words(peer, material, monkeypatch):
    pytest.importorskip(peers.NEEDS[peer], reason="peers are installed by make bench")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    answer = peer(material).answer(material.texts[11])
    assert answer.ids[0] == material.ids[11]
    assert len(answer.ids) == peers.K
    assert answer.block.startswith(f"Model: {material.ids[11]}\nSummary: {material.texts[11]}\n")


def test_torch_runs_on_as_many_threads_as_serve_a_question_best(monkeypatch):
    class Torch:
        threads = 8

        def get_num_threads(self):
            return self.threads

        def set_num_threads(self, threads):
            self.threads = threads

    torch, clock = Torch(), [0.0]

    def encode(_):
        clock[0] += {1: 0.04, 8: 0.4}[torch.threads]

    monkeypatch.setattr(model, "import_module", lambda _: torch)
    monkeypatch.setattr(model, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert model.settle_threads(SimpleNamespace(encode=encode)) == 1
    assert torch.threads == 1


def test_a_fresh_process_answers_and_one_that_fails_is_named(sample_home, tmp_path):
    took = cold.seconds(sample_home, tmp_path / "no index saved", "hands", runs=1)
    assert list(took) == ["paperfeed"]
    assert len(took["paperfeed"]) == 1
    with pytest.raises(PaperfeedError, match=r"paperfeed as a fresh process failed: .*no snapshot"):
        cold.seconds(tmp_path, tmp_path / "none", "hands", runs=1)


# --- embedding


def test_both_encoders_take_turns_and_their_rows_are_compared():
    turns = []

    def encoder(name, row):
        def encode(texts):
            turns.append((name, len(texts)))
            return np.array([row] * len(texts), np.float32)

        return encode

    both = {embed.OURS: encoder("ours", [1, 0]), embed.AS_IT_COMES: encoder("theirs", [0.6, 0.8])}
    speeds = embed.race(both, ["text"] * 40, 2)
    assert turns == [("ours", 32), ("theirs", 32), *[("ours", 40), ("theirs", 40)] * 2]
    assert speeds.cosines == pytest.approx(np.full(40, 0.6))
    rounds = {embed.OURS: [10.0, 40.0, 30.0], embed.AS_IT_COMES: [5.0, 10.0, 10.0]}
    assert embed.Speeds(rounds, speeds.cosines).times() == 3.0


# --- scale


def test_a_size_beyond_the_papers_there_are(made, tmp_path):
    chosen = setting.made_up(40)
    scaled = scale.measure(chosen, made, 90, tmp_path, WordEncoder(), WordEncoder.open)
    assert (scaled.papers, scaled.recall_at_10, scaled.faiss) == (90, 1.0, "Flat")
    folder = max((tmp_path / "index").glob("0*"))
    files = [f for f in folder.rglob("*") if f.is_file() and "encoder" not in f.parts]
    assert scaled.bytes_a_paper == sum(len(f.read_bytes()) for f in files) // 90
    assert 0 < scaled.p50_ms <= scaled.p99_ms


def test_recall_counts_what_the_index_does_not_find():
    rows = np.eye(20, dtype=np.float32) * 0.5 + 0.1
    asked = np.linspace(2, 0, 20, dtype=np.float32)[None]

    class Missing:
        """Finds the second to eleventh nearest: nine of ten are right."""

        def rows(self, numbers):
            return rows[numbers]

        def search(self, row, depth):
            return np.argsort(-(rows @ row))[1 : depth + 1], None

    opened = SimpleNamespace(vectors=Missing(), papers=range(20))
    assert scale.recall(opened, asked) == pytest.approx(0.9)


def test_sizes_that_are_no_numbers_are_one_line(capsys):
    assert scale.main(["--sizes", "10,many"]) == 2
    assert "give numbers of papers" in capsys.readouterr().err


# --- a night


def test_a_night_makes_only_the_rows_of_what_changed(made, tmp_path, monkeypatch):
    monkeypatch.setattr(evening, "BENCH", tmp_path / "absent")
    home, encoder = Home(tmp_path / "home"), WordEncoder()
    evening.prepare(home, evening.records(60), 10, made, encoder)
    night = publish.night(home, WordEncoder)
    assert (night.papers, night.vectors_made) == (60, 10)
    assert night.bytes_a_paper < night.whole_bytes_a_paper
    assert night.beside == night.seconds - night.embedding
    again = publish.night(home, WordEncoder)
    assert again.vectors_made == 0


def test_the_encoders_time_is_without_that_of_its_user(monkeypatch):
    ticks = count()
    monkeypatch.setattr(publish, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    timed = publish.Timed(WordEncoder())
    for _ in timed.batches(["a"] * 8):  # two batches of four
        for _ in range(100):
            next(ticks)  # the user's time
    assert timed.seconds == 3  # two batches, and finding that there are no more


def test_the_peak_is_not_that_of_the_starting_process():
    child = "from benchmarks.report import peak_mb; print(peak_mb())"
    program = "import subprocess, sys; held = bytearray(b'x' * (400 << 20));"
    started = f"{program} subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    assert 5 < int(printed(started)) < 300
