"""The command line: what people type, what they read, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.catalogue import add_observations, open_catalogue, quarantine
from ingest.paper import Observation, Paper
from ingest.raw import Archive, Raw
from ingest.record import record_landed
from serve import cli
from tests.conftest import ROOT
from tests.home import DAYS, served

QUESTION = (
    "What kind of changes in training help AI avoid mistakes like extra fingers or broken limbs?"
)
BLOCK = re.compile(
    r"### Related Papers:\n"
    r"(Model: \S.*\nPaper: http://arxiv\.org/pdf/\S+?(v\d+)?\.pdf\n"
    r"(GitHub: https://github\.com/[\w-]+/[\w.-]+\n)?Summary: \S.*(\n\n|\n$)){3}"
)


@pytest.fixture
def paperfeed(sample_home, monkeypatch, capsys):
    """Run the command in this process on the sample's home; gives (exit code, out, err)."""

    def run(*arguments: str, home: Path = sample_home) -> tuple[int, str, str]:
        monkeypatch.setenv("PAPERFEED_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["paperfeed", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_related_prints_the_block_in_its_exact_form(paperfeed) -> None:
    code, out, _ = paperfeed("related", QUESTION)
    assert code == 0
    assert BLOCK.fullmatch(out)


def test_related_as_json_carries_the_whole_record(paperfeed) -> None:
    code, out, _ = paperfeed("related", QUESTION, "-k", "5", "--json")
    hits = json.loads(out)
    assert (code, [hit["rank"] for hit in hits]) == (0, [1, 2, 3, 4, 5])
    assert {"arxiv_id", "title", "repos", "listed_on", "score", "sources"} <= hits[0].keys()


def test_filters_hold(paperfeed) -> None:
    def found(*narrowing: str) -> list[dict]:
        return json.loads(paperfeed("related", QUESTION, "-k", "200", "--json", *narrowing)[1])

    everything = found()
    recent = found("--since", "2026-01-01")
    assert all(hit["published"] >= "2026-01-01" for hit in recent)
    assert 0 < len(recent) < len(everything)
    assert all("cs.RO" in hit["categories"] for hit in found("--category", "cs.RO"))
    assert all(any(r["own"] for r in hit["repos"]) for hit in found("--has-code"))
    assert not any(hit["withdrawn"] for hit in everything)
    assert any(hit["withdrawn"] for hit in found("--include-withdrawn"))


def test_similar_and_show(paperfeed) -> None:
    code, out, _ = paperfeed("similar", "https://arxiv.org/abs/2311.17957v2", "-k", "3")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "2311.17957" not in out
    record = json.loads(paperfeed("show", "2311.17957")[1])
    assert record["arxiv_id"] == "2311.17957"


def test_status_and_verify(paperfeed) -> None:
    code, out, _ = paperfeed("status", "--date", DAYS[-1], "--json")
    report = json.loads(out)
    assert (code, report["stale"], report["papers"], report["pending"]) == (0, [], 89, 1)
    assert report["sources"][0]["last_good"] == DAYS[-1]
    assert "89" in paperfeed("status", "--date", DAYS[-1])[1]
    assert paperfeed("verify")[0] == 0


def test_status_ends_with_3_where_a_monitor_should_wake_somebody(paperfeed) -> None:
    code, out, _ = paperfeed("status", "--date", "2026-03-02")
    assert code == 3
    assert out.splitlines()[:2] == [
        "STALE on 2026-03-02",
        "  huggingface: 2026-03-01 was due, the last good one is 2026-02-27",
    ]


def test_quarantine_lists_shows_and_retries(paperfeed, sample_home, tmp_path) -> None:
    home = copied(sample_home, tmp_path)
    assert paperfeed("quarantine", home=home) == (0, "0 in quarantine\n", "")
    Archive(home / "raw").land(
        Raw("huggingface_api", DAYS[0], "", "2026-03-01T05:00:00.000000Z", b"[1, 2]")
    )
    assert paperfeed("quarantine", "--retry", home=home)[1].startswith("0 entries")
    with open_catalogue(home / "catalogue.sqlite").connect() as db:
        assert not list(db.execute(quarantine.select()))
    record_landed(open_catalogue(home / "catalogue.sqlite"), Archive(home / "raw"))
    rows = json.loads(paperfeed("quarantine", "--json", home=home)[1])
    assert sorted(row["payload"] for row in rows) == ["1", "2"]
    assert paperfeed("quarantine", rows[0]["digest"][:6], home=home)[1] == rows[0]["payload"] + "\n"
    assert "2 stay" in paperfeed("quarantine", "--retry", home=home)[1]
    assert paperfeed("quarantine", "zzz", home=home)[0] == 1


def test_export_gives_every_record_in_both_formats(paperfeed, tmp_path) -> None:
    code, out, _ = paperfeed("export")
    records = [json.loads(line) for line in out.splitlines()]
    assert (code, len(records)) == (0, 89)
    assert [r["arxiv_id"] for r in records] == sorted(r["arxiv_id"] for r in records)
    target = tmp_path / "papers.parquet"
    assert paperfeed("export", "--format", "parquet", "--out", str(target))[0] == 0
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(target).to_pylist()
    for record, row in zip(records, rows, strict=True):
        row["sources"] = dict(row["sources"])
        assert Paper.from_record(row) == Paper.from_record(record)


def test_import_takes_records_in_bulk_and_twice_is_once(paperfeed, sample_home, tmp_path) -> None:
    file, home = tmp_path / "papers.jsonl", tmp_path / "home"
    assert paperfeed("export", "--out", str(file))[0] == 0
    file.write_text(file.read_text("utf8") + "no record\n", "utf8")
    code, out, _ = paperfeed("import", str(file), home=home)
    assert (code, out.startswith("90 lines: 89 new, 0 changed, 1 in quarantine")) == (0, True)
    exported = paperfeed("export", home=home)[1]
    again = json.loads(paperfeed("import", str(file), "--json", home=home)[1])
    assert (again["received"], again["new"], again["changed"]) == (90, 0, 0)
    assert paperfeed("export", home=home)[1] == exported
    ids = [json.loads(line)["arxiv_id"] for line in exported.splitlines()]
    assert ids == [json.loads(line)["arxiv_id"] for line in paperfeed("export")[1].splitlines()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["related", ""], "empty"),
        (["related", "word " * 10_000], "2000"),
        (["related", "hands", "-k", "0"], "from 1 to"),
        (["related", "hands", "-k", "10000"], "from 1 to"),
        (["related", "hands", "--since", "soon"], "soon"),
        (["similar", "2501.99999"], "2501.99999"),
        (["similar", "not an id"], "not an id"),
        (["show", "2501.99999"], "2501.99999"),
        (["nightly", "--date", "2999-01-01"], "future"),
        (["nightly", "--date", "tomorrow"], "tomorrow"),
        (["backfill", "--from", "2025-6-1", "--to", "2025-06-03"], "2025-6-1"),
        (["related", "hands", "-k", "many"], "many"),
        (["export", "--format", "xml"], "xml"),
        (["no-such-verb"], "no-such-verb"),
        (["backfill", "--from", "2025-03-04", "--to", "2025-03-03"], "after"),
        (["import", "no-such-file.txt"], "no-such-file.txt"),
        (["export", "--format", "parquet"], "--out"),
    ],
)
def test_bad_input_is_one_clear_line(paperfeed, arguments, says) -> None:
    code, out, err = paperfeed(*arguments)
    assert code != 0
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_home_with_nothing_in_it_says_what_to_run(paperfeed, tmp_path) -> None:
    for command in (["related", "x"], ["status"], ["verify"], ["rollback"], ["export"], ["index"]):
        code, _, err = paperfeed(*command, home=tmp_path / "nothing")
        assert code != 0
        assert "paperfeed nightly" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(("start", "says"), [(".", "mine holds"), ("below", "data holds")])
def test_a_env_file_counts_where_one_starts_and_not_below(tmp_path, start, says) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".env").write_text("PAPERFEED_HOME=mine\n")
    bare = {name: value for name, value in os.environ.items() if name != "PAPERFEED_HOME"}
    command = [sys.executable, "-m", "serve.cli", "index"]
    ended = subprocess.run(
        command, cwd=tmp_path / start, env=bare, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert says in ended.stderr


def test_an_unknown_model_is_one_clear_line(paperfeed, sample_home, tmp_path, monkeypatch) -> None:
    home = copied(sample_home, tmp_path)
    monkeypatch.setenv("PAPERFEED_MODEL", "no/such-model")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = paperfeed("index", home=home)
    assert code != 0
    assert "no/such-model" in err
    assert err.count("\n") == 1


def test_a_corrupt_part_is_named_and_rollback_says_when_it_cannot(
    paperfeed, sample_home, tmp_path
) -> None:
    home = copied(sample_home, tmp_path)
    part = next((home / "index").glob("0*/vectors.faiss"))
    part.write_bytes(part.read_bytes()[:-1])
    code, _, err = paperfeed("related", "hands", home=home)
    assert code != 0
    assert "vectors.faiss" in err
    assert err.count("\n") == 1
    code, _, err = paperfeed("rollback", home=home)
    assert code != 0
    assert err.count("\n") == 1


def test_a_damaged_catalogue_says_how_to_make_it_anew(paperfeed, sample_home, tmp_path) -> None:
    home = copied(sample_home, tmp_path)
    before = paperfeed("export", home=home)[1]
    for file in home.glob("catalogue.sqlite*"):
        file.write_bytes(b"no database at all" * 99)
    code, _, err = paperfeed("status", home=home)
    assert code != 0
    assert "paperfeed replay" in err
    assert err.count("\n") == 1
    for file in home.glob("catalogue.sqlite*"):
        file.unlink()
    assert paperfeed("replay", home=home)[0] == 0
    assert paperfeed("export", home=home)[1] == before


def test_a_flipped_byte_is_found_and_index_mends_it(paperfeed, sample_home, tmp_path) -> None:
    home = copied(sample_home, tmp_path)
    for part in ("papers.jsonl", "encoder/weights.bin"):
        file = next((home / "index").glob(f"0*/{part}"))
        whole = file.read_bytes()
        file.unlink()  # the encoder's files are shared with encoders/
        file.write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
        shared = home / "encoders" / next((home / "encoders").iterdir()).name / "weights.bin"
        shared.write_bytes(b"altered" + shared.read_bytes()[7:])
        code, _, err = paperfeed("verify", home=home)
        assert code != 0
        assert Path(part).name in err
        assert paperfeed("index", home=home)[0] == 0
        code, out, _ = paperfeed("verify", home=home)
        assert (code, "is sound" in out) == (0, True)
        assert paperfeed("related", QUESTION, home=home)[0] == 0
        for stale in sorted((home / "index").glob("0*"))[:-1]:
            shutil.rmtree(stale)


def test_rollback_goes_back_to_the_snapshot_before(paperfeed, sample_home, tmp_path) -> None:
    home = copied(sample_home, tmp_path)
    with open_catalogue(home / "catalogue.sqlite").begin() as db:
        add_observations(
            db, [Observation("oai", "2602.00001", "2026", title="One more", version=1)]
        )
    assert paperfeed("index", home=home)[0] == 0
    assert "90" in paperfeed("verify", home=home)[1]
    assert paperfeed("rollback", home=home)[0] == 0
    assert "89 papers" in paperfeed("verify", home=home)[1]
    assert paperfeed("rollback", home=home)[0] == 1


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf8")
    runner = CliRunner()
    for command in cli.app.registered_commands:
        name = command.name or command.callback.__name__
        result = runner.invoke(cli.app, [name, "--help"])
        assert result.exit_code == 0
        assert command.callback.__doc__.split("\n")[0][:40] in result.output
        assert f"paperfeed {name}" in readme


def test_the_night_runs_through_prefect(tmp_path, monkeypatch) -> None:
    """The one smoke test of the real flow, as the command starts it."""
    home = tmp_path / "home"
    with served(home):
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
        command = [sys.executable, "-m", "serve.cli"]
        night = subprocess.run(
            [*command, "nightly", "--date", DAYS[-1], "--days", "5"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert night.returncode == 0, night.stderr
        assert "89 papers" in night.stdout
        assert "ok(24)" in night.stdout
        answer = subprocess.run(
            [*command, "related", QUESTION], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert BLOCK.fullmatch(answer.stdout)


def copied(home: Path, target: Path) -> Path:
    return Path(shutil.copytree(home, target / "home"))
