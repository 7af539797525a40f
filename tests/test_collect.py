"""Fetch, land, record, replay: against the replay of the upstream services and their bad days."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from data.sample.replay import Fault
from ingest import catalogue, collect
from ingest.errors import RateLimited, SourceChanged, SourceError, SourceUnavailable
from ingest.raw import Raw
from ingest.record import record_landed
from tests.home import DAYS, NIGHT, SAMPLE
from tests.site import Site

SATURDAY = "2026-02-28"


class DailySite(Site):
    def fetch(self, *days: str) -> list[int]:
        return [collect.fetch_day(*self.at, day) for day in days]

    def enrich(self, night: str = NIGHT) -> None:
        with self.engine.connect() as db:
            ids = collect.ids_to_ask(db, night)
        for batch in collect.in_batches(ids):
            collect.fetch_ids(*self.at, batch, night)

    def record(self):
        return record_landed(self.engine, self.archive)

    def pending(self) -> list[str]:
        with self.engine.connect() as db:
            return collect.pending(db)

    def label(self, day: str) -> str:
        return self.labels()[day]


@pytest.fixture
def site(tmp_path):
    with DailySite.opened(tmp_path, SAMPLE) as site:
        yield site


def listed(day: str) -> list[dict]:
    return json.loads((SAMPLE / "huggingface" / f"{day}.json").read_text("utf8"))


def test_a_day_of_two_pages_is_fetched_whole(site) -> None:
    long_day = max(DAYS, key=lambda day: len(listed(day)))
    assert len(listed(long_day)) > 15, "the sample needs a day of two pages"
    assert site.fetch(long_day) == [len(listed(long_day))]
    site.record()
    assert set(site.papers()) == {entry["paper"]["id"] for entry in listed(long_day)}
    assert site.label(long_day) == f"ok({len(listed(long_day))})"


def test_the_week_becomes_exactly_the_papers_listed(site) -> None:
    site.fetch(*DAYS, SATURDAY)
    site.record()
    papers = site.papers()
    for day in DAYS:
        for entry in listed(day):
            paper = papers[entry["paper"]["id"]]
            assert day in paper.listed_on
            assert paper.authors == tuple(a["name"] for a in entry["paper"]["authors"])
            assert paper.title == " ".join(entry["paper"]["title"].split())
    assert len(papers) == len({e["paper"]["id"] for day in DAYS for e in listed(day)})
    assert site.label(SATURDAY) == "empty-expected"
    assert set(site.pending()) == set(papers)


def test_arxiv_fills_in_what_the_listing_lacks(site) -> None:
    site.fetch(*DAYS)
    site.record()
    without = {i for i, paper in site.papers().items() if paper.abstract is None}
    assert without, "the sample needs listed papers without abstract"
    site.enrich()
    site.record()
    papers = site.papers()
    assert all(papers[i].abstract for i in without)
    assert any(paper.withdrawn for paper in papers.values())
    assert len(site.pending()) == 1, "the sample has one id that arXiv does not know yet"


def test_an_unknown_id_waits_longer_each_time(site) -> None:
    site.fetch(*DAYS)
    site.record()
    site.enrich()
    site.record()
    (unknown,) = site.pending()
    asked = []
    for night in [f"2026-03-{n:02d}" for n in range(1, 20)]:
        with site.engine.connect() as db:
            ids = collect.ids_to_ask(db, night)
        if unknown in ids:
            asked.append(night)
            collect.fetch_ids(*site.at, ids, night)
            site.record()
    assert asked == ["2026-03-01", "2026-03-03", "2026-03-07", "2026-03-15"]


def test_the_listing_page_stands_in_for_a_failing_api(site) -> None:
    site.replay.misbehave("huggingface_api", Fault.status(503))
    assert site.fetch(DAYS[0]) == [len(listed(DAYS[0]))]
    site.record()
    assert set(site.papers()) == {entry["paper"]["id"] for entry in listed(DAYS[0])}


def test_an_outage_is_never_an_empty_day(site) -> None:
    site.replay.misbehave("huggingface_api", Fault.status(503))
    site.replay.misbehave("huggingface_listing", Fault.cut_off)
    with pytest.raises(SourceUnavailable):
        site.fetch(DAYS[0])
    site.record()
    assert site.label(DAYS[0]).startswith("failed(")


def test_a_day_that_breaks_off_after_its_first_page_is_partial(site) -> None:
    long_day = max(DAYS, key=lambda day: len(listed(day)))
    good = site.client.get

    def breaks_off(url, params=None, **more):
        if "p=1" in url or (params or {}).get("p") == "1" or "/papers/date" in url:
            raise SourceUnavailable("the line went dead", url)
        return good(url, params, **more)

    site.client.get = breaks_off
    with pytest.raises(SourceUnavailable):
        site.fetch(long_day)
    site.record()
    assert site.label(long_day).startswith("partial(the line went dead")
    assert len(site.papers()) == 15
    site.client.get = good
    site.fetch(long_day)
    site.record()
    assert site.label(long_day) == f"ok({len(listed(long_day))})"


@pytest.mark.parametrize("fault", [Fault.half_json, Fault.html, Fault.wrong_page])
def test_an_answer_of_another_shape_goes_to_quarantine_and_the_page_stands_in(site, fault) -> None:
    site.replay.misbehave("huggingface_api", fault)
    assert site.fetch(DAYS[0]) == [len(listed(DAYS[0]))]
    site.record()
    assert [row.kind for row in site.quarantined()] == ["huggingface_api"]
    assert set(site.papers()) == {entry["paper"]["id"] for entry in listed(DAYS[0])}


def test_an_empty_weekday_is_suspect(site) -> None:
    site.replay.misbehave("huggingface_api", Fault.empty)
    site.fetch(DAYS[0])
    site.record()
    assert site.label(DAYS[0]).startswith("empty-suspect")


def test_429_from_arxiv_leaves_everything_pending_and_asks_once(site) -> None:
    site.fetch(*DAYS)
    site.record()
    site.replay.misbehave("arxiv_api", Fault.status(429))
    with pytest.raises(RateLimited):
        site.enrich()
    asked = [r for r in site.replay.requests if r.source == "arxiv_api"]
    assert len(asked) == 1
    site.record()
    assert set(site.pending()) == set(site.papers())
    site.replay.behave()
    site.enrich()
    site.record()
    assert len(site.pending()) == 1


@pytest.mark.parametrize("fault", [Fault.empty, Fault.html])
def test_an_answer_with_nothing_in_it_leaves_ids_pending(site, fault) -> None:
    site.fetch(DAYS[0])
    site.record()
    site.replay.misbehave("arxiv_api", fault)
    with pytest.raises(SourceChanged):
        site.enrich()
    site.record()
    site.replay.behave()
    before = set(site.pending())
    site.enrich()
    site.record()
    assert len(site.pending()) <= 1 < len(before)


def test_a_spoilt_batch_is_halved_until_the_culprit_is_alone(site) -> None:
    good = [entry["paper"]["id"] for entry in listed(DAYS[0])][:5]
    real = site.client.get

    def refuses_one(url, params=None, **more):
        asked = (params or {}).get("id_list") or url
        spoilt = good[2] in asked
        return real(url.replace(good[2], "abc") if spoilt else url, params, **more)

    site.client.get = refuses_one
    collect.fetch_ids(*site.at, good, NIGHT)
    site.record()
    assert set(site.papers()) == set(good) - {good[2]}


def test_one_pending_id_is_not_answered_by_a_page_that_is_no_feed(site) -> None:
    collect.fetch_ids(*site.at, ["2311.17957"], NIGHT)
    site.replay.misbehave("arxiv_api", Fault.html)
    with pytest.raises(SourceChanged):
        collect.fetch_ids(*site.at, ["2407.06937"], NIGHT)
    site.record()
    with site.engine.connect() as db:
        asked = {row.arxiv_id: row.unknown for row in db.execute(sa.select(catalogue.asked))}
    assert asked == {"2311.17957": 0}


def test_a_damaged_raw_file_is_quarantined_and_stops_nothing(site) -> None:
    site.fetch(DAYS[0])
    name = next(site.archive.names())
    file = site.home / "raw" / name
    file.write_bytes(file.read_bytes()[:99])
    site.fetch(DAYS[1])
    site.record()
    assert [row.response for row in site.quarantined()] == [name]
    assert name in site.quarantined()[0].reason
    assert set(site.papers()) == {entry["paper"]["id"] for entry in listed(DAYS[1])}


def test_the_same_night_twice_changes_nothing(site) -> None:
    def night():
        site.fetch(*DAYS)
        site.record()
        site.enrich()
        site.record()
        return site.papers(), [site.label(day) for day in DAYS]

    first = night()
    assert night() == first


def test_what_was_landed_before_a_kill_is_recorded_by_the_next_run(site) -> None:
    page = json.dumps(listed(DAYS[0])).encode()
    site.archive.land(Raw("huggingface_api", DAYS[0], "", "2026-02-27T05:00:00.000000Z", page))
    assert site.record()[0].new == len(listed(DAYS[0]))
    assert site.record() == []


def test_what_can_be_read_by_now_leaves_quarantine(site, monkeypatch) -> None:
    from ingest import record

    def breaks(body, day, seen_at):
        raise SourceChanged("a parser of yesterday")

    page = json.dumps(listed(DAYS[0])).encode()
    site.archive.land(Raw("huggingface_api", DAYS[0], "", "2026-02-27T05:00:00.000000Z", page))
    site.archive.land(Raw("huggingface_api", DAYS[1], "", "2026-02-27T06:00:00.000000Z", b"{"))
    with monkeypatch.context() as yesterday:
        yesterday.setattr("ingest.sources.huggingface.parse_api", breaks)
        site.record()
    assert len(site.quarantined()) == 2
    assert not site.papers()
    record.retry_quarantined(site.engine, site.archive)
    assert [row.partition for row in site.quarantined()] == [DAYS[1]]
    assert set(site.papers()) == {entry["paper"]["id"] for entry in listed(DAYS[0])}


def test_replay_builds_an_equal_catalogue_from_raw_alone(site) -> None:
    site.replay.misbehave("huggingface_api", Fault.half_json, times=1)
    site.fetch(*DAYS, SATURDAY)
    site.record()
    site.enrich()
    site.record()
    site.replay.misbehave("huggingface_api", Fault.status(503))
    site.replay.misbehave("huggingface_listing", Fault.status(503))
    with pytest.raises(SourceError):
        site.fetch("2026-02-20")
    site.record()
    with site.rebuilt() as again:
        for table in catalogue.tables.sorted_tables:
            rows = site.rows(table)
            assert rows == again.rows(table), table.name
            elsewhere = table.name in ("titles", "repositories", "announced")
            assert rows or elsewhere, f"{table.name} is empty: nothing was compared"
