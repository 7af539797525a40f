"""What arXiv owes of the papers it announces: versions come by OAI-PMH, and without it by the API.

The night's arXiv part runs here as the flow runs it, against the replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from data.sample.replay import Fault, Replay
from flows import arxiv_steps, on_request, steps
from flows.home import open_home
from ingest import catalogue, collect, ledger
from ingest.announced import announcement_owed
from ingest.catalogue import all_papers
from ingest.merge import merge
from ingest.paper import Observation, Paper
from ingest.record import record_landed
from tests.home import environment

CL, AI = "cs.CL", "cs.AI"
MONDAY, TUESDAY, WEDNESDAY = "2026-08-10", "2026-08-11", "2026-08-12"
NEW, REPLACED, CROSSED = "2608.00001", "2607.00002", "2608.00003"
VERSIONS = {NEW: 1, REPLACED: 3, CROSSED: 1}


def announced(arxiv_id: str, kind: str) -> dict[str, Any]:
    return {
        "id": arxiv_id,
        "version": VERSIONS[arxiv_id],
        "type": kind,
        "title": f"Paper {arxiv_id}",
        "authors": ["Ada Lin"],
        "comments": "9 pages",
        "categories": [AI if kind == "cross" else CL],
        "abstract": "What was found.",
    }


LISTING = [announced(NEW, "new"), announced(REPLACED, "replace"), announced(CROSSED, "cross")]


def atom_entry(arxiv_id: str, version: int, moment: str = "2026-07-01T10:00:00Z") -> str:
    name = f"http://arxiv.org/abs/{arxiv_id}v{version}"
    return (
        f"<entry><id>{name}</id><title>Paper {arxiv_id}</title><updated>{moment}</updated>"
        f"<published>{moment}</published><summary>What was found.</summary>"
        f'<author><name>Ada Lin</name></author><link href="{name}" rel="alternate"/>'
        f'<category term="{CL}"/><arxiv:primary_category term="{CL}"/></entry>'
    )


def oai_record(arxiv_id: str) -> dict[str, Any]:
    numbers = range(1, VERSIONS[arxiv_id] + 1)
    return {
        "id": arxiv_id,
        "versions": [{"version": f"v{n}", "date": f"2026-07-0{n}T10:00:00Z"} for n in numbers],
        "title": f"Paper {arxiv_id}",
        "authors": ["Ada Lin"],
        "categories": [CL],
        "abstract": "What was found.",
        "datestamp": TUESDAY,
        "set": "cs:cs:CL",
    }


@dataclass
class Night:
    home: Path
    replay: Replay

    def write(self, name: str, text: str) -> None:
        file = self.replay.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def api_knows(self, **versions: int) -> None:
        entries = "".join(atom_entry(name, number) for name, number in versions.items())
        head = (
            '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom">'
        )
        self.write("arxiv/feed.xml", f"{head}{entries}</feed>")

    def oai_knows(self, *ids: str) -> None:
        self.write("oai/records.jsonl", "\n".join(json.dumps(oai_record(name)) for name in ids))

    def announce(self, day: str, entries: list[dict[str, Any]], category: str = CL) -> None:
        self.write(f"announcements/{category}/{day}.json", json.dumps(entries))

    def run(self, night: str, first: str, today: str | None = None) -> str | None:
        stopped = arxiv_steps.follow(self.home, night, first, today or night)
        steps.record(self.home)
        return stopped

    def enrich(self, night: str) -> list[str]:
        """The ids that arXiv's API was asked for."""
        before = len(self.replay.requests)
        steps.enrich(self.home, night)
        steps.record(self.home)
        asked = [r.query.get("id_list", "") for r in self.replay.requests[before:]]
        return sorted(filter(None, ",".join(asked).split(",")))

    def papers(self) -> dict[str, Paper]:
        with open_home(self.home) as engine, engine.connect() as db:
            return {p.arxiv_id: p for p in all_papers(db)}

    def labels(self) -> dict[tuple[str, str], str]:
        with open_home(self.home) as engine, engine.connect() as db:
            return {(p.source, p.day): p.label for p in ledger.partitions(db)}

    def asked(self, source: str) -> int:
        return sum(request.source == source for request in self.replay.requests)


@pytest.fixture
def night(tmp_path, monkeypatch) -> Iterator[Night]:
    (tmp_path / "wire").mkdir()
    with Replay(tmp_path / "wire") as replay:
        for name, value in environment(replay, tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PAPERFEED_CATEGORIES", CL)
        monkeypatch.setattr("ingest.http.Client._wait", lambda client, seconds, url: None)
        yield Night(tmp_path / "home", replay)


# versions of what is announced


def test_with_oai_nothing_is_left_to_ask(night) -> None:
    night.announce(TUESDAY, LISTING)
    night.oai_knows(*VERSIONS)
    assert night.run(TUESDAY, TUESDAY) is None
    assert night.enrich(TUESDAY) == []
    assert {name: paper.version for name, paper in night.papers().items()} == VERSIONS


def test_without_oai_the_version_that_a_listing_does_not_name_is_asked_for(night) -> None:
    night.api_knows(**{REPLACED: 2})
    on_request.add_papers(night.home, [REPLACED], MONDAY)
    assert night.papers()[REPLACED].version == 2
    night.announce(TUESDAY, LISTING)
    night.api_knows(**VERSIONS)
    night.replay.misbehave("oai", Fault.status(503))
    night.replay.misbehave("arxiv_feed", Fault.status(503))
    assert night.run(TUESDAY, TUESDAY) is None
    assert night.enrich(TUESDAY) == sorted(VERSIONS)
    assert {name: paper.version for name, paper in night.papers().items()} == VERSIONS
    assert night.papers()[REPLACED].sources["version"] == "arxiv_api"
    # The same listing, asked for again in its window, owes nothing.
    assert night.run(WEDNESDAY, TUESDAY) is None
    assert night.enrich(WEDNESDAY) == []


def test_what_only_a_feed_names_is_pending_until_arxiv_tells_the_rest(night) -> None:
    night.api_knows(**{REPLACED: 1})
    on_request.add_papers(night.home, [REPLACED], MONDAY)
    night.announce(TUESDAY, [announced(REPLACED, "replace")])
    for source in ("arxiv_catchup", "arxiv_new", "oai"):
        night.replay.misbehave(source, Fault.status(503))
    night.run(TUESDAY, TUESDAY)
    paper = night.papers()[REPLACED]
    assert (paper.version, paper.sources["version"]) == (3, "arxiv_feed")
    assert steps.count_pending(night.home) == 1
    assert night.enrich(TUESDAY) == [REPLACED], "its API is a day behind"
    assert steps.count_pending(night.home) == 1
    night.api_knows(**VERSIONS)
    assert night.enrich(WEDNESDAY) == [REPLACED]
    assert steps.count_pending(night.home) == 0
    assert night.papers()[REPLACED].published == "2026-07-01T10:00:00Z"


def test_a_listing_says_less_than_the_api_of_the_same_version(night) -> None:
    night.announce(TUESDAY, [announced(NEW, "new") | {"title": "A title cut short"}])
    night.api_knows(**VERSIONS)
    night.run(TUESDAY, TUESDAY)
    assert night.papers()[NEW].title == "A title cut short"
    night.enrich(TUESDAY)
    assert night.papers()[NEW].title == f"Paper {NEW}"


def test_what_is_owed_is_rebuilt_from_raw(night) -> None:
    night.announce(TUESDAY, LISTING)
    night.oai_knows(REPLACED)
    night.run(TUESDAY, TUESDAY)
    with open_home(night.home) as engine:
        archive = steps.collector(night.home)[2]
        again = catalogue.open_catalogue(night.home / "again.sqlite")
        record_landed(again, archive)
        with engine.connect() as one, again.connect() as other:
            assert announcement_owed(one) == announcement_owed(other) == {NEW, CROSSED}
            rows = sa.select(catalogue.announced).order_by("arxiv_id")
            assert one.execute(rows).all() == other.execute(rows).all()
            assert collect.pending(one) == collect.pending(other)


# one service after the other


def test_the_feed_is_a_hint_that_stops_nothing(night) -> None:
    night.announce(TUESDAY, LISTING)
    night.oai_knows(*VERSIONS)
    night.replay.misbehave("arxiv_feed", Fault.status(429))
    assert night.run(TUESDAY, TUESDAY) is None
    told = night.labels()
    assert told[f"arxiv_feed/{CL}", TUESDAY].startswith("failed(")
    assert told[f"arxiv_catchup/{CL}", TUESDAY] == "ok(3)"
    assert told["oai/cs:cs:CL", TUESDAY] == "ok(3)"
    night.replay.behave()
    assert night.run(TUESDAY, TUESDAY) is None
    assert night.labels()[f"arxiv_feed/{CL}", TUESDAY] == "ok(3)"


def test_a_stale_feed_is_noted_and_the_listing_comes_all_the_same(night) -> None:
    night.announce(MONDAY, LISTING)
    night.run(MONDAY, MONDAY)
    assert night.run(TUESDAY, TUESDAY) is None
    told = night.labels()
    assert told[f"arxiv_feed/{CL}", TUESDAY] == f"stale(the same papers as on {MONDAY})"
    assert told[f"arxiv_catchup/{CL}", TUESDAY].startswith("empty-suspect")


def test_a_service_that_is_away_is_asked_for_one_category_and_the_others_go_on(
    night, monkeypatch
) -> None:
    monkeypatch.setenv("PAPERFEED_CATEGORIES", f"{AI},{CL}")
    for category in (AI, CL):
        night.announce(TUESDAY, LISTING, category)
    night.oai_knows(*VERSIONS)
    night.replay.misbehave("arxiv_catchup", Fault.status(503))
    assert night.run(TUESDAY, TUESDAY) is None
    assert night.asked("arxiv_catchup") == 3, "three attempts, one category"
    assert night.labels()["oai/cs:cs:CL", TUESDAY] == "ok(3)"


def test_a_wish_to_be_left_alone_ends_arxivs_part(night) -> None:
    night.announce(TUESDAY, LISTING)
    night.replay.misbehave("arxiv_catchup", Fault.status(429))
    assert "answered 429" in str(night.run(TUESDAY, TUESDAY))
    assert (night.asked("arxiv_catchup"), night.asked("oai")) == (1, 0)


def test_a_day_that_arxiv_refuses_does_not_keep_the_next_ones_waiting(night) -> None:
    for day in (MONDAY, TUESDAY):
        night.announce(day, LISTING if day == TUESDAY else [announced(NEW, "new")])
    night.replay.misbehave("arxiv_catchup", Fault.html, times=1)
    night.replay.misbehave("arxiv_new", Fault.html, times=1)
    night.run(TUESDAY, MONDAY)
    told = night.labels()
    assert told[f"arxiv_catchup/{CL}", MONDAY].startswith("failed(")
    assert told[f"arxiv_catchup/{CL}", TUESDAY] == "ok(3)"


# days that the listings do not reach


def test_a_backfill_of_old_days_comes_from_the_api_by_submission(night) -> None:
    night.api_knows(**VERSIONS)  # all submitted on 2026-07-01
    first, last = "2026-06-29", "2026-07-03"
    assert night.run(last, first, today="2027-01-01") is None
    assert {name: paper.version for name, paper in night.papers().items()} == VERSIONS
    told = night.labels()
    assert told[f"arxiv_window/{CL}", "2026-07-01"] == "ok(3)"
    assert told[f"arxiv_window/{CL}", "2026-07-02"] == "empty-expected"
    for source in ("arxiv_catchup", "arxiv_feed", "oai"):
        assert night.asked(source) == 0, source
    asked = night.asked("arxiv_api")
    assert night.run(last, first, today="2027-01-01") is None
    assert night.asked("arxiv_api") == asked, "a window that is closed is not asked for again"
    assert night.enrich(last) == []


def test_a_night_after_an_outage_longer_than_arxivs_memory(night) -> None:
    night.announce(MONDAY, [announced(NEW, "new")])
    night.run(MONDAY, MONDAY)
    night.api_knows(**VERSIONS)
    night.oai_knows()
    late = "2026-12-01"
    night.announce(late, [])
    assert night.run(late, late) is None
    closed = {day for source, day in night.labels() if source == f"arxiv_window/{CL}"}
    assert (min(closed), max(closed)) == ("2026-08-07", "2026-09-01")  # 2 September is in reach


# single papers


def test_papers_are_added_by_id_or_address(night) -> None:
    night.api_knows(**VERSIONS)
    item = {"paper": {"id": NEW, "title": "As listed", "upvotes": 7}}
    night.write(f"huggingface/{TUESDAY}.json", json.dumps([item]))
    named = [f"https://arxiv.org/abs/{NEW}v1", REPLACED, NEW, "2608.99999"]
    added = on_request.add_papers(night.home, named, WEDNESDAY)
    assert [(p.arxiv_id, p.version, p.upvotes) for p in added] == [(NEW, 1, 7), (REPLACED, 3, None)]
    with pytest.raises(steps.BadInput):
        on_request.add_papers(night.home, ["no paper"], WEDNESDAY)


def test_hugging_face_is_not_needed_to_add_a_paper(night) -> None:
    night.api_knows(**VERSIONS)
    night.replay.misbehave("huggingface_paper", Fault.status(503))
    assert [p.version for p in on_request.add_papers(night.home, [NEW], WEDNESDAY)] == [1]
    night.replay.misbehave("arxiv_api", Fault.status(429))
    with pytest.raises(steps.SourceError):
        on_request.add_papers(night.home, [NEW], WEDNESDAY)


def test_lists_and_papers_are_told_apart() -> None:
    named = ["trending", "2608.00001v2", "2026-W33", "2026-08", "cs/0612047"]
    lists, papers = on_request.told_apart(named)
    assert lists == ["trending", "2026-W33", "2026-08"]
    assert papers == ["2608.00001", "cs/0612047"]
    with pytest.raises(steps.BadInput):
        on_request.told_apart(["yesterday"])


def test_lists_are_fetched_by_name(night) -> None:
    items = [{"paper": {"id": NEW, "title": "As listed"}}]
    night.write(f"huggingface/{TUESDAY}.json", json.dumps(items))
    assert on_request.fetch_lists(night.home, ["2026-W33", "trending"], WEDNESDAY) == {}
    assert night.papers()[NEW].listed_on == ()
    night.replay.misbehave("huggingface_api", Fault.status(503))
    night.replay.misbehave("huggingface_listing", Fault.status(503))
    failed = on_request.fetch_lists(night.home, ["2026-08"], WEDNESDAY)
    assert list(failed) == ["2026-08"]
    with pytest.raises(steps.BadInput):
        on_request.fetch_lists(night.home, ["2026-W33", "2026-8"], WEDNESDAY)


def test_a_hint_takes_nothing_from_the_api_but_runs_ahead_of_it() -> None:
    """A feed lists categories in no order, and has no comment."""
    api = Observation("arxiv_api", NEW, "2026-08-11", version=2, categories=(CL, AI), title="T")
    feed = Observation("arxiv_feed", NEW, "2026-08-12", version=2, categories=(AI, CL), title="t")
    paper = merge(NEW, [feed, api])
    assert (paper.categories, paper.title) == ((CL, AI), "T")
    ahead = merge(NEW, [api, Observation("arxiv_feed", NEW, "2026-08-13", version=3, title="New")])
    assert (ahead.version, ahead.title, ahead.categories) == (3, "New", (CL, AI))
