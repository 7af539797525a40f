"""Whole nights: twice is once, a killed one is finished by the next, an outage is caught up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.sample.replay import Fault, Replay
from flows import steps
from flows.days import checked_day
from flows.home import run_lock
from flows.publish import publish
from index import Retriever
from index.snapshot import current
from ingest.errors import BadInput, Busy, SourceError
from tests.conftest import ROOT
from tests.fake_encoder import WordEncoder
from tests.home import (
    DAYS,
    NIGHT,
    SAMPLE,
    embedded_by_words,
    environment,
    exported,
    night,
    served,
)

QUESTION = (
    "What kind of changes in training help AI avoid mistakes like extra fingers or broken limbs?"
)
RUN = """
import sys
from pathlib import Path
from tests.home import embedded_by_words, night

with embedded_by_words(0.3):
    night(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def quiet_home(tmp_path_factory) -> Iterator[Path]:
    """A home with a night that nothing disturbed; all nights of this file need no torch."""
    home = tmp_path_factory.mktemp("quiet_home")
    with embedded_by_words(), served(home):
        night(home)
        yield home


@pytest.fixture(scope="module")
def undisturbed(quiet_home, tmp_path_factory) -> tuple[bytes, str]:
    """Its export and its snapshot."""
    out = tmp_path_factory.mktemp("export") / "papers.jsonl"
    return exported(quiet_home, out), current(quiet_home / "index").name.split("-")[1]


def test_the_same_night_twice_is_once(quiet_home, tmp_path, undisturbed) -> None:
    assert night(quiet_home) == undisturbed[1]
    assert exported(quiet_home, tmp_path / "out") == undisturbed[0]
    assert len(list((quiet_home / "index").glob("0*"))) == 1


def test_replay_from_raw_alone_gives_the_same_export(quiet_home, tmp_path, undisturbed) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "raw").symlink_to(quiet_home / "raw")
    steps.replay(home)
    assert exported(home, tmp_path / "out") == undisturbed[0]


def test_the_second_night_embeds_only_what_changed(tmp_path) -> None:
    home = tmp_path / "home"
    folder = tmp_path / "wire"
    copy_sample(folder)
    with Replay(folder) as replay, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(replay, home).items():
            patch.setenv(name, value)
        night(home)
        day = folder / "huggingface" / f"{DAYS[0]}.json"
        entries = json.loads(day.read_text("utf8"))
        entries[0]["paper"] |= {"id": "2602.99999", "title": "A new paper", "summary": "New words."}
        entries[1]["paper"]["upvotes"] += 1
        day.write_text(json.dumps(entries), "utf8")
        for task in (lambda: steps.fetch_day(home, DAYS[0], NIGHT), lambda: steps.record(home)):
            task()
        published = publish(home)
    assert published.vectors_made == 1
    assert published.vectors_reused == published.papers - 1


def test_an_outage_is_caught_up_by_the_next_night(tmp_path, undisturbed) -> None:
    home = tmp_path / "home"
    with served(home) as replay:
        for source in ("huggingface_api", "huggingface_listing", "arxiv_api"):
            replay.misbehave(source, Fault.status(429))
        with pytest.raises(SourceError):
            steps.fetch_day(home, DAYS[0], NIGHT)
        steps.record(home)
        replay.behave()
        night(home)
    assert exported(home, tmp_path / "out") == undisturbed[0]


def test_a_feed_from_hugging_face_alone_is_published_and_completed_later(
    tmp_path, undisturbed
) -> None:
    home = tmp_path / "home"
    with served(home) as replay:
        replay.misbehave("arxiv_api", Fault.status(429))
        night(home)
        alone = Retriever.open(home, encoder=WordEncoder.open).related_papers(QUESTION)
        assert len(alone) == 3
        assert all(hit.paper.version is None for hit in alone)
        replay.behave()
        assert night(home) == undisturbed[1]
    assert exported(home, tmp_path / "out") == undisturbed[0]


def fetching(home: Path, replay: Replay) -> bool:
    return len(replay.requests) >= 3


def embedding(home: Path, replay: Replay) -> bool:
    return any((home / "vectors").glob("*/*"))


def publishing(home: Path, replay: Replay) -> bool:
    return any((home / "index").glob(".building-*/*faiss"))


@pytest.mark.parametrize("moment", [fetching, embedding, publishing])
def test_kill_9_loses_nothing(
    moment: Callable[[Path, Replay], bool], tmp_path, undisturbed
) -> None:
    home = tmp_path / "home"
    with served(home) as replay:
        run = subprocess.Popen([sys.executable, "-c", RUN, home], cwd=ROOT, env=dict(os.environ))
        give_up = time.monotonic() + 120
        while not moment(home, replay) and run.poll() is None and time.monotonic() < give_up:
            time.sleep(0.002)
        assert run.poll() is None, "the night was over before it could be killed"
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not (home / "index" / "CURRENT").exists()
        assert night(home) == undisturbed[1]
    assert exported(home, tmp_path / "out") == undisturbed[0]
    assert not list((home / "index").glob(".building-*"))


def test_a_second_run_leaves_at_once(tmp_path) -> None:
    with run_lock(tmp_path), pytest.raises(Busy), run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        pass


@pytest.mark.parametrize(
    "text", ["2025-13-01", "yesterday", "2999-01-01", "2020-01-01", "", "2025-3-3"]
)
def test_a_wrong_day_is_refused_in_one_line(text) -> None:
    with pytest.raises(BadInput) as refused:
        checked_day(text)
    assert "\n" not in str(refused.value)


def test_a_saved_listing_is_resolved_by_catalogue_and_arxiv(quiet_home, tmp_path) -> None:
    title = Retriever.open(quiet_home, encoder=WordEncoder.open).paper("2311.17957").title
    listing = (
        f"Daily Papers\n\n{title}\n\n"
        + "Our words about hands that are drawn badly. " * 8
        + "Code at github.com/some-one/hand.fix.\n\n  • 4 authors\n·\nAug 14, 2024 2\n\n"
        + "A Title That Nobody Has Ever Heard Of\n\n"
        + "Words about nothing in particular. " * 8
        + "\n\n  • 2 authors\n·\nMay 3\n"
    )
    home = tmp_path / "home"
    with served(home):
        entries = steps.import_listing(home, "page.txt", listing.encode(), NIGHT)
    assert [entry["arxiv_id"] for entry in entries] == ["2311.17957", None]
    assert entries[0]["repos"] == ["some-one/hand.fix"]


def copy_sample(folder: Path) -> None:
    for kind in ("huggingface", "arxiv"):
        (folder / kind).mkdir(parents=True)
        for file in (SAMPLE / kind).iterdir():
            (folder / kind / file.name).write_bytes(file.read_bytes())


def test_two_days_that_always_fail_do_not_block_the_days_after_them(tmp_path, monkeypatch) -> None:
    from flows import nightly
    from ingest.errors import SourceUnavailable

    asked = []

    def fetch(home, day, night, return_state):
        asked.append(day)
        bad = day in ("2025-06-03", "2025-06-04")
        return Outcome(SourceUnavailable("answered 500", status=500) if bad else 3)

    monkeypatch.setattr(nightly, "fetch_day", fetch)
    days = [f"2025-06-{n:02d}" for n in range(2, 8)]
    failed = nightly._fetch_days(tmp_path, days, days[-1])
    assert asked == days
    assert list(failed) == ["2025-06-03", "2025-06-04"]


def test_a_source_that_is_away_is_asked_twice_and_no_day_is_lost(tmp_path, monkeypatch) -> None:
    from flows import nightly
    from ingest.errors import SourceUnavailable

    down = Outcome(SourceUnavailable("cannot be reached"))
    monkeypatch.setattr(nightly, "fetch_day", lambda *_, **__: down)
    days = [f"2025-06-{n:02d}" for n in range(2, 8)]
    assert list(nightly._fetch_days(tmp_path, days, days[-1])) == days
    steps.record(tmp_path)
    assert {p.day for p in steps.states(tmp_path, days)} == set(days[2:])  # the others note theirs
    assert all(p.label.startswith("failed(not asked") for p in steps.states(tmp_path, days))


class Outcome:
    """A task's state as Prefect gives it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def result(self, raise_on_failure: bool) -> object:
        return self.value
