"""Announcements against the replay: whole days, stale ones, quiet ones, and what stays open."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sample.replay import Fault, Replay
from data.sample.replay_announcements import rss_error
from ingest import ledger
from ingest.announcements import fetch_announcement, fetch_feed_hint, open_announcements
from ingest.calendar import is_expected_empty
from ingest.errors import (
    RateLimited,
    SourceChanged,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from ingest.ledger import Partition, State, days_between, judge
from tests.site import Site

MONDAY, TUESDAY, WEDNESDAY, FRIDAY = "2026-08-10", "2026-08-11", "2026-08-12", "2026-08-14"
SATURDAY, LATER = "2026-08-15", "2026-08-17"
CL = "cs.CL"


def entry(number: int, kind: str = "new", **more: Any) -> dict[str, Any]:
    said = {
        "id": f"2608.{number:05}",
        "version": 1 + (kind == "replace"),
        "type": kind,
        "title": f"Paper {number}",
        "authors": ["Ada Lin", "Bo Roe"],
        "comments": f"Code: https://github.com/lin/paper{number}",
        "categories": [CL, "cs.AI"],
        "abstract": f"On {number}.",
    }
    return {**said, **more}


def listing(first: int, new: int, cross: int = 0, replaced: int = 0) -> list[dict[str, Any]]:
    kinds = ["new"] * new + ["cross"] * cross + ["replace"] * replaced
    return [entry(first + n, kind) for n, kind in enumerate(kinds)]


class ArxivSite(Site):
    def announce(self, day: str, entries: list[dict[str, Any]], category: str = CL) -> None:
        self.write(f"announcements/{category}/{day}.json", json.dumps(entries))

    def fetch(self, day: str, category: str = CL, night: str | None = None) -> int:
        return fetch_announcement(*self.at, category, day, night)

    def hint(self, day: str, category: str = CL) -> int:
        return fetch_feed_hint(*self.at, category, day)

    def label(self, day: str, source: str = f"arxiv_catchup/{CL}") -> str:
        return self.labels(source)[day]

    def reasons(self) -> list[str]:
        """Why what is in quarantine is there."""
        return [row.reason for row in self.quarantined()]

    def asked(self) -> list[str]:
        return [
            f"{r.path}?{r.query.get('page', r.query.get('skip'))}" for r in self.replay.requests
        ]


@pytest.fixture
def site(tmp_path):
    with ArxivSite.opened(tmp_path, tmp_path / "wire") as site:
        yield site


# a day


def test_a_day_of_three_pages_is_whole(site) -> None:
    site.announce(WEDNESDAY, listing(1, 14, 5, 7))
    assert site.fetch(WEDNESDAY) == 26
    assert site.asked() == [f"/web/catchup/cs.CL/{WEDNESDAY}?{page}" for page in (1, 2, 3)]
    assert site.label(WEDNESDAY) == "ok(26)"
    papers = site.papers()
    assert sorted(papers) == [f"2608.{n:05}" for n in range(1, 27)]
    paper = papers["2608.00007"]
    assert (paper.title, paper.abstract, paper.version) == ("Paper 7", "On 7.", None)
    assert paper.sources["title"] == "arxiv_catchup"
    assert paper.repo is not None
    assert paper.repo.name == "lin/paper7"
    assert site.reasons() == []


def test_exactly_full_pages_need_no_further_one(site) -> None:
    site.announce(WEDNESDAY, listing(1, 20))
    assert site.fetch(WEDNESDAY) == 20
    assert len(site.replay.requests) == 2


def test_categories_are_kept_apart(site) -> None:
    site.announce(WEDNESDAY, listing(1, 3))
    site.announce(WEDNESDAY, listing(1, 2), "cs.AI")
    assert (site.fetch(WEDNESDAY), site.fetch(WEDNESDAY, "cs.AI")) == (3, 2)
    assert site.label(WEDNESDAY) == "ok(3)"
    assert site.label(WEDNESDAY, "arxiv_catchup/cs.AI") == "ok(2)"


def test_a_page_that_fails_leaves_the_day_open_and_what_came_in_hand(site) -> None:
    site.announce(WEDNESDAY, listing(1, 26))
    site.replay.note = _second_fails(site.replay)  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable):
        site.fetch(WEDNESDAY)
    assert site.label(WEDNESDAY).startswith("partial(")
    assert "answered 503" in site.label(WEDNESDAY)
    assert len(site.papers()) == 10


def _second_fails(replay: Replay):
    note = replay.note

    def fault(request):
        note(request)
        return Fault.status(503) if request.query.get("page") == "2" else None

    return fault


FAULTS = [Fault.cut_off, Fault.wrong_page, Fault.half_json, Fault.html, Fault.status(503)]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_fault_closes_a_day(site, fault) -> None:
    site.announce(WEDNESDAY, listing(1, 26))
    site.replay.misbehave("arxiv_catchup", fault)
    site.replay.misbehave("arxiv_new", fault)
    with pytest.raises(SourceError):
        site.fetch(WEDNESDAY)
    assert site.label(WEDNESDAY).startswith("failed(")
    site.replay.behave()
    assert site.fetch(WEDNESDAY) == 26
    assert site.label(WEDNESDAY) == "ok(26)"


def test_a_wrongly_empty_day_is_suspect(site) -> None:
    site.announce(WEDNESDAY, listing(1, 26))
    site.announce(FRIDAY, listing(40, 3))
    site.replay.misbehave("arxiv_catchup", Fault.empty)
    assert site.fetch(WEDNESDAY) == 0
    assert site.label(WEDNESDAY).startswith("empty-suspect(")


def test_a_page_with_fewer_entries_than_it_says(site) -> None:
    site.announce(WEDNESDAY, listing(1, 9))
    page = site.client.get(f"{site.replay.url}/web/catchup/cs.CL/{WEDNESDAY}").body
    start, end = page.index(b"<dt>"), page.index(b"</dd>") + 5
    bad = Cut(page[:start] + page[end:])
    with pytest.raises(SourceChanged, match="new: showing 9 of 9 but 8 found"):
        fetch_announcement(bad, site.upstreams, site.archive, CL, WEDNESDAY)  # type: ignore[arg-type]
    assert "showing 9 of 9 but 8 found" in site.label(WEDNESDAY)
    assert [r for r in site.reasons() if "showing 9 of 9" in r]


class Cut:
    """A client whose every answer is this body."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked = 0

    def get(self, url: str, params: object = None, ok: object = None):
        from ingest.http import Response

        self.asked += 1
        return Response(url, 200, {}, self.body, f"2026-08-12T05:00:00.{self.asked:06}Z")


def test_pages_that_never_reach_their_total_end(site) -> None:
    site.announce(WEDNESDAY, listing(1, 26))
    first = site.client.get(f"{site.replay.url}/web/catchup/cs.CL/{WEDNESDAY}").body
    stuck = Cut(first)
    with pytest.raises(SourceChanged, match="10 of 26 entries came, and no more"):
        fetch_announcement(stuck, site.upstreams, site.archive, CL, WEDNESDAY)  # type: ignore[arg-type]
    assert stuck.asked < 6
    assert site.label(WEDNESDAY).startswith("partial(10 of 26 entries came")


def test_an_entry_that_cannot_be_read_counts_and_is_kept(site) -> None:
    site.announce(WEDNESDAY, [*listing(1, 11), entry(0, id="1501.00000")])
    assert site.fetch(WEDNESDAY) == 12
    assert site.label(WEDNESDAY) == "ok(12)"
    assert site.reasons() == ["not an arXiv id: [1] arXiv:1501.00000 [pdf, html]"]


# where catch-up does not answer


def test_the_newest_listing_stands_in(site) -> None:
    site.announce(WEDNESDAY, listing(1, 14, 5, 7))
    site.replay.misbehave("arxiv_catchup", Fault.status(404))
    assert site.fetch(WEDNESDAY) == 26
    assert site.asked()[1:] == [f"/web/list/cs.CL/new?{skip}" for skip in (0, 10, 20)]
    assert site.label(WEDNESDAY) == "ok(26)"
    assert len(site.papers()) == 26
    assert site.reasons() == []


def test_the_newest_listing_of_another_day_does_not(site) -> None:
    site.announce(TUESDAY, listing(1, 5))
    site.announce(WEDNESDAY, listing(11, 5))
    site.replay.misbehave("arxiv_catchup", Fault.status(404))
    with pytest.raises(SourceRefused, match="404"):
        site.fetch(TUESDAY)
    assert site.label(TUESDAY).startswith("failed(")
    assert "answered 404" in site.label(TUESDAY)
    # What came all the same is kept.
    assert sorted(site.papers()) == [f"2608.{n:05}" for n in range(11, 16)]
    assert site.reasons() == []


def test_429_ends_it_at_once(site) -> None:
    site.replay.misbehave("arxiv_catchup", Fault.status(429))
    with pytest.raises(RateLimited):
        site.fetch(WEDNESDAY)
    assert len(site.replay.requests) == 1
    assert site.label(WEDNESDAY).startswith("failed(")


# stale


def test_the_same_listing_on_the_next_day_is_stale(site) -> None:
    site.announce(MONDAY, listing(1, 12, 3, 2))
    site.announce(TUESDAY, listing(1, 12, 3, 2))
    assert site.fetch(MONDAY) == 17
    with pytest.raises(SourceChanged, match="stale: the same 17 papers as on 2026"):
        site.fetch(TUESDAY)
    assert site.label(TUESDAY).startswith("stale(the same papers as on 2026-08-10")
    assert open_announcements(site.partitions(), CL, LATER, MONDAY).count(TUESDAY) == 1
    site.announce(TUESDAY, listing(31, 12))
    assert site.fetch(TUESDAY) == 12
    assert site.label(TUESDAY) == "ok(12)"


def test_over_a_weekend_too(site) -> None:
    site.announce(FRIDAY, listing(1, 12))
    site.announce(LATER, listing(1, 12))
    site.fetch(FRIDAY)
    with pytest.raises(SourceChanged, match="stale: the same 12 papers as on 2026-08-14"):
        site.fetch(LATER)


@pytest.mark.parametrize(
    "second",
    [
        listing(1, 0, 0, 1),  # one paper replaced twice in a row: that happens
        listing(1, 1, 0, 1),
    ],
    ids=["replaced again", "one more"],
)
def test_what_is_not_stale(site, second) -> None:
    site.announce(MONDAY, listing(1, 0, 0, 1))
    site.announce(TUESDAY, second)
    assert (site.fetch(MONDAY), site.fetch(TUESDAY)) == (1, len(second))


def test_a_day_asked_for_again_is_not_stale_by_itself(site) -> None:
    site.announce(MONDAY, listing(1, 12))
    assert [site.fetch(MONDAY) for _ in range(3)] == [12, 12, 12]
    assert site.label(MONDAY) == "ok(12)"


# quiet days


@pytest.mark.parametrize(
    ("day", "label"),
    [
        (WEDNESDAY, "empty-suspect(no entries on a weekday)"),
        (SATURDAY, "empty-expected"),
        ("2026-09-07", "empty-suspect(no entries on a weekday)"),
        ("2026-09-08", "empty-expected"),  # the evening of Labor Day had no mailing
    ],
)
def test_empty_days(site, day, label) -> None:
    assert site.fetch(day) == 0
    assert site.label(day) == label


def test_a_holiday_nobody_told_us_about_is_closed_once_arxiv_passes_over_it(site) -> None:
    site.announce(MONDAY, listing(1, 5))
    site.fetch(MONDAY)
    assert site.fetch(TUESDAY) == 0
    assert site.label(TUESDAY).startswith("empty-suspect(")
    site.announce(WEDNESDAY, listing(11, 5))
    assert site.fetch(TUESDAY) == 0
    assert site.asked()[-2:] == [f"/web/catchup/cs.CL/{day}?1" for day in (TUESDAY, MONDAY)]
    assert site.label(TUESDAY) == "empty-expected"
    assert len(site.papers()) == 5


def test_a_day_that_others_had_papers_on_stays_suspect(site) -> None:
    site.announce(MONDAY, listing(1, 5))
    site.announce(TUESDAY, listing(11, 5), "cs.AI")
    site.announce(WEDNESDAY, listing(21, 5))
    assert site.fetch(TUESDAY) == 0
    assert site.label(TUESDAY).startswith("empty-suspect(")


# what a night asks for


def whole(day: str, night: str, category: str = CL) -> Partition:
    """A day that was fetched whole on this night."""
    return judge(f"arxiv_catchup/{category}", day, 5, None)._replace(night=night)


def test_the_first_night_asks_for_what_is_wanted() -> None:
    assert open_announcements([], CL, LATER, MONDAY) == [
        *(MONDAY, TUESDAY, WEDNESDAY, "2026-08-13", FRIDAY, LATER),
    ]


def test_the_window_is_asked_for_again() -> None:
    known = [whole(day, LATER) for day in days_between("2026-08-03", LATER)]
    assert open_announcements(known, CL, LATER, "2026-08-03") == [
        *(WEDNESDAY, "2026-08-13", FRIDAY, LATER),
    ]
    assert open_announcements(known, CL, "2026-08-16", "2026-08-03") == [
        *(TUESDAY, WEDNESDAY, "2026-08-13", FRIDAY),
    ]


@pytest.mark.parametrize(
    ("day", "night", "owed"),
    [
        (MONDAY, MONDAY, True),
        (MONDAY, WEDNESDAY, True),
        (MONDAY, "2026-08-13", False),  # three listings were out after it
        (WEDNESDAY, "2026-08-16", True),  # a weekend has none
        (WEDNESDAY, LATER, False),
    ],
)
def test_a_day_fetched_early_is_still_owed_after_an_outage(day, night, owed) -> None:
    asked = open_announcements([whole(day, night)], CL, "2026-09-02", MONDAY)
    assert (day in asked) == owed


def test_ten_nights_of_outage_over_a_weekend_and_a_holiday() -> None:
    known = [
        *(whole(day, "2026-09-01") for day in ("2026-08-26", "2026-08-31", "2026-09-01")),
        judge(f"arxiv_catchup/{CL}", "2026-09-02", 0, "timed out"),
        whole("2026-09-03", "2026-09-03", "cs.AI"),
    ]
    assert open_announcements(known, CL, "2026-09-12", "2026-08-31") == [
        *("2026-08-31", "2026-09-01", "2026-09-02", "2026-09-03", "2026-09-04"),
        *("2026-09-07", "2026-09-08", "2026-09-09", "2026-09-10", "2026-09-11"),
    ]


def test_a_holiday_that_came_back_empty_is_left_alone() -> None:
    quiet = judge(f"arxiv_catchup/{CL}", "2026-09-08", 0, None, expected_empty=True)
    days = open_announcements([quiet], CL, "2026-09-09", "2026-09-04")
    assert days == ["2026-09-04", "2026-09-07", "2026-09-09"]


def test_what_arxiv_no_longer_has_is_not_asked_for() -> None:
    days = open_announcements([], CL, WEDNESDAY, "2026-01-01")
    assert (days[0], days[-1]) == ("2026-05-14", WEDNESDAY)
    assert open_announcements([], CL, WEDNESDAY, LATER) == []


def test_nights_in_a_row_ask_for_each_listing_until_its_window_is_over(site) -> None:
    asked: dict[str, list[str]] = {}
    for night in days_between(MONDAY, "2026-08-20"):
        if not is_expected_empty(night):
            site.announce(night, listing(int(night[-2:]) * 10, 3))
        for day in open_announcements(site.partitions(), CL, night, MONDAY):
            asked.setdefault(day, []).append(night[-2:])
            site.fetch(day, night=night)
    assert asked[MONDAY] == ["10", "11", "12", "13"]
    assert asked[WEDNESDAY] == ["12", "13", "14", "15", "16", "17"]
    assert asked[LATER] == ["17", "18", "19", "20"]
    assert not set(asked) & {SATURDAY, "2026-08-16"}


states = st.sampled_from(list(State))
wanted = st.dates(date(2026, 7, 3), date(2026, 10, 1)).map(str)


@given(st.dictionaries(wanted, st.tuples(states, wanted)), wanted)
def test_no_open_weekday_is_ever_lost(known, night) -> None:
    source = f"arxiv_catchup/{CL}"
    partitions = [Partition(source, day, state, 1, None, at) for day, (state, at) in known.items()]
    asked = open_announcements(partitions, CL, night, "2026-07-03")
    weekdays = {d for d in days_between("2026-07-03", night) if date.fromisoformat(d).weekday() < 5}
    shut = {day for day, (state, _) in known.items() if state in ledger.CLOSED}
    assert weekdays - shut <= set(asked) <= weekdays
    assert asked == sorted(set(asked))
    assert str(date.fromisoformat(night) - timedelta(days=90)) <= min(asked, default=night)


# the feed


def test_the_feed_of_the_day(site) -> None:
    site.announce(WEDNESDAY, [*listing(1, 3, 1, 1), entry(9, "replace", version=6)])
    assert site.hint(WEDNESDAY) == 5
    assert site.label(WEDNESDAY, "arxiv_feed/cs.CL") == "ok(5)"
    assert site.asked() == ["/rss/rss/cs.CL?None"]
    papers = site.papers()
    assert papers["2608.00005"].version == 2
    assert "2608.00009" not in papers
    # A hint closes no catch-up day.
    assert open_announcements(site.partitions(), CL, WEDNESDAY, WEDNESDAY) == [WEDNESDAY]


def test_the_feed_of_the_day_before_is_stale(site) -> None:
    site.announce(TUESDAY, listing(1, 12))
    assert site.hint(TUESDAY) == 12
    with pytest.raises(SourceChanged, match=f"^stale: the feed of {WEDNESDAY} is due, that of"):
        site.hint(WEDNESDAY)
    stale = f"stale(the same papers as on {TUESDAY})"
    assert site.label(WEDNESDAY, "arxiv_feed/cs.CL") == stale


def test_a_fresh_date_on_the_papers_of_yesterday_is_stale(site) -> None:
    site.announce(FRIDAY, listing(1, 12, 2))
    assert site.hint(FRIDAY) == 14
    site.announce(SATURDAY, [])
    assert site.hint(SATURDAY) == 0
    site.announce(LATER, listing(1, 12, 2))
    with pytest.raises(SourceChanged, match=f"^stale: .* that of {FRIDAY} came once"):
        site.hint(LATER)
    site.announce(LATER, listing(31, 12))
    assert [site.hint(LATER), site.hint(LATER)] == [12, 12]
    assert site.label(LATER, "arxiv_feed/cs.CL") == "ok(12)"


def test_a_quiet_day_has_no_feed_of_its_own(site) -> None:
    site.announce(FRIDAY, listing(1, 12))
    assert site.hint(SATURDAY) == 0  # still Friday's
    assert site.label(SATURDAY, "arxiv_feed/cs.CL") == "empty-expected"
    site.announce(WEDNESDAY, [])
    site.announce(LATER, [])
    assert site.hint(LATER) == 0
    assert site.label(LATER, "arxiv_feed/cs.CL").startswith("empty-suspect(")


@pytest.mark.parametrize("fault", [*FAULTS, Fault.status(429)], ids=str)
def test_no_fault_closes_a_feed(site, fault) -> None:
    site.announce(WEDNESDAY, listing(1, 12))
    site.replay.misbehave("arxiv_feed", fault)
    with pytest.raises(SourceError):
        site.hint(WEDNESDAY)
    assert site.label(WEDNESDAY, "arxiv_feed/cs.CL").startswith("failed(")


def test_an_error_feed_is_a_failure_with_its_reason(site) -> None:
    wrong = Cut(rss_error("cs.XX is not a category", "cs.XX"))
    with pytest.raises(SourceChanged, match="is not a category"):
        fetch_feed_hint(wrong, site.upstreams, site.archive, "cs.XX", WEDNESDAY)  # type: ignore[arg-type]
    assert "cs.XX is not a category" in site.label(WEDNESDAY, "arxiv_feed/cs.XX")


# all over again


def test_everything_is_rebuilt_from_raw(site) -> None:
    site.announce(MONDAY, listing(1, 14))
    site.announce(WEDNESDAY, listing(31, 14))
    site.hint(WEDNESDAY)
    for day in (MONDAY, TUESDAY, WEDNESDAY, "2026-09-08"):
        site.fetch(day)
    site.replay.misbehave("arxiv_catchup", Fault.half_json)
    with pytest.raises(SourceError):
        site.fetch(FRIDAY)
    before = site.partitions(), site.papers(), site.reasons()
    with site.rebuilt() as again:
        assert (again.partitions(), again.papers(), again.reasons()) == before
    assert {p.day: p.state for p in before[0] if p.source == "arxiv_catchup/cs.CL"} == {
        MONDAY: State.OK,
        TUESDAY: State.EMPTY_EXPECTED,
        WEDNESDAY: State.OK,
        FRIDAY: State.FAILED,
        "2026-09-08": State.EMPTY_EXPECTED,
    }
