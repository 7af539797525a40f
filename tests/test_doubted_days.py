"""Days of Daily Papers that came suspiciously small, empty, or as the day before once more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sample.replay import Fault
from ingest import catalogue, collect, ledger
from ingest.ledger import Partition, State, days_between, doubt, judge, shifted
from tests.site import Site

TUESDAY, WEDNESDAY, THURSDAY = "2026-03-10", "2026-03-11", "2026-03-12"
FRIDAY, MONDAY = "2026-03-13", "2026-03-16"
LAST = "2026-03-17"
"""The last night of Wednesday's window."""


def ok(day: str, received: int) -> Partition:
    return Partition("huggingface", day, State.OK, received, None, day)


def came(received: int, day: str = WEDNESDAY, night: str = "", **more: Any) -> Partition:
    return judge("huggingface", day, received, None, **more)._replace(night=night or day)


def wednesdays(*sizes: int) -> list[Partition]:
    """The Wednesdays before, newest first."""
    return [ok(shifted(WEDNESDAY, -7 * n), size) for n, size in enumerate(sizes, start=1)]


@pytest.mark.parametrize(
    ("before", "received", "label"),
    [
        ([20, 22, 30], 11, "ok(11)"),
        ([20, 22, 30], 10, "empty-suspect(10 entries where 22 are usual)"),
        ([20, 21], 3, "ok(3)"),  # too few to tell
        ([5, 6, 5], 1, "ok(1)"),  # too small to tell
        ([6, 6, 7], 2, "empty-suspect(2 entries where 6 are usual)"),
        ([20, 20, 25, 25], 11, "empty-suspect(11 entries where 22.5 are usual)"),
        ([2] * 8 + [40] * 30, 1, "ok(1)"),  # what was usual long ago
        ([20, 22, 30], 0, "empty-suspect(no entries on a weekday)"),
    ],
)
def test_what_is_suspiciously_small(before, received, label) -> None:
    assert doubt(came(received), wednesdays(*before), 7).label == label


def test_other_weekdays_and_days_that_were_doubted_tell_nothing() -> None:
    others = [ok(shifted(WEDNESDAY, -n), 30) for n in range(1, 40) if n % 7]
    doubted = [p._replace(state=State.EMPTY_SUSPECT) for p in wednesdays(30, 30, 30)]
    assert doubt(came(3), [*others, *doubted], 7).label == "ok(3)"


@pytest.mark.parametrize("said", [{}, {"repeats": TUESDAY}])
def test_a_doubt_ends_with_the_window_where_the_source_is_well(said) -> None:
    usual, after = wednesdays(20, 22, 30), ok(THURSDAY, 22)
    first = doubt(came(4, **said), usual, 7)
    assert first.state in ledger.DOUBTED
    again = came(4, night=LAST, **said)
    assert doubt(again, [*usual, first, after], 7) == ok(WEDNESDAY, 4)._replace(night=LAST)
    # Not before its last night, not at first sight, not in an outage.
    early = came(4, night=shifted(LAST, -1), **said)
    assert doubt(early, [*usual, first, after], 7).state is first.state
    assert doubt(again, [*usual, after], 7).state is first.state
    assert doubt(again, [*usual, first], 7).state is first.state
    assert doubt(again, [*usual, first, ok("2026-03-14", 1)], 7).state is first.state, "a Saturday"


def test_an_empty_weekday_is_believed_at_last() -> None:
    first = doubt(came(0), [], 7)
    again = doubt(came(0, night=LAST), [first, ok(THURSDAY, 22)], 7)
    assert again.label == "empty-expected"


@given(st.integers(0, 40), st.lists(st.integers(0, 40), max_size=8), st.integers(0, 9))
def test_a_doubt_takes_nothing_that_came(received, sizes, later) -> None:
    judged = came(received, night=shifted(WEDNESDAY, later))
    assert doubt(judged, wednesdays(*sizes), 7).received == received


# against the replay


class DailySite(Site):
    def list(self, day: str, *numbers: int) -> None:
        items = [{"paper": {"id": f"2603.{n:05}", "title": f"Paper {n}"}} for n in numbers]
        self.write(f"huggingface/{day}.json", json.dumps(items))

    def fetch(self, day: str, night: str | None = None) -> str:
        collect.fetch_day(*self.at, day, night)
        return self.labels()[day]

    def listed(self) -> dict[str, tuple[str, ...]]:
        return {name: paper.listed_on for name, paper in self.papers().items()}


@pytest.fixture
def site(tmp_path):
    with DailySite.opened(tmp_path, tmp_path / "wire") as site:
        yield site


def test_the_list_of_the_day_before_once_more_is_stale_and_lists_nothing(site) -> None:
    site.list(TUESDAY, *range(1, 21))
    site.list(WEDNESDAY, 31, 32)
    assert site.fetch(TUESDAY) == "ok(20)"
    site.replay.misbehave("huggingface_api", Fault.late)
    assert site.fetch(WEDNESDAY) == f"stale(the same papers as on {TUESDAY})"
    assert set(site.listed().values()) == {(TUESDAY,)}
    site.replay.behave()
    assert site.fetch(WEDNESDAY, THURSDAY) == "ok(2)"
    assert site.listed()["2603.00031"] == (WEDNESDAY,)
    assert site.listed()["2603.00001"] == (TUESDAY,)


def test_over_a_weekend_and_from_the_page_too(site) -> None:
    site.list(FRIDAY, 1, 2, 3)
    site.list(MONDAY, 1, 2, 3)
    site.replay.misbehave("huggingface_api", Fault.status(503))
    assert site.fetch(FRIDAY) == "ok(3)"
    site.replay.behave()
    assert site.fetch("2026-03-14") == "empty-expected"
    assert site.fetch(MONDAY) == f"stale(the same papers as on {FRIDAY})"


def test_a_stale_answer_takes_nothing_from_a_day_that_was_whole(site) -> None:
    site.list(TUESDAY, 1, 2)
    site.list(WEDNESDAY, 3, 4)
    assert [site.fetch(day) for day in (TUESDAY, WEDNESDAY)] == ["ok(2)", "ok(2)"]
    before = site.listed()
    site.replay.misbehave("huggingface_api", Fault.late)
    assert site.fetch(WEDNESDAY, THURSDAY) == "ok(2)"
    assert site.listed() == before


def test_a_day_that_stays_as_the_one_before_is_believed_when_its_window_is_over(site) -> None:
    for day in (TUESDAY, WEDNESDAY):
        site.list(day, 1, 2)
    site.list(THURSDAY, 5)
    site.fetch(TUESDAY)
    for night in days_between(WEDNESDAY, shifted(LAST, -1)):
        assert site.fetch(WEDNESDAY, night).startswith("stale(")
        site.fetch(THURSDAY, night)
    assert site.fetch(WEDNESDAY, LAST) == "ok(2)"
    assert site.listed()["2603.00001"] == (TUESDAY, WEDNESDAY)


def test_a_small_day_is_kept_and_asked_for_again(site) -> None:
    for n in (1, 2, 3):
        site.list(shifted(WEDNESDAY, -7 * n), *range(100 * n, 100 * n + 20))
        site.fetch(shifted(WEDNESDAY, -7 * n))
    site.list(WEDNESDAY, 1, 2, 3)
    assert site.fetch(WEDNESDAY) == "empty-suspect(3 entries where 20 are usual)"
    assert site.listed()["2603.00001"] == (WEDNESDAY,)
    known = site.partitions(collect.DAILY)
    assert WEDNESDAY in ledger.open_days(known, "2026-06-01", 7)
    site.list(WEDNESDAY, *range(1, 24))
    assert site.fetch(WEDNESDAY, THURSDAY) == "ok(23)"


def test_a_replay_comes_to_the_same_ledger_and_papers(site) -> None:
    for n, day in enumerate((TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)):
        site.list(day, 10 * n + 1, 10 * n + 2)
        site.replay.misbehave("huggingface_api", Fault.late)
        site.fetch(day)
        site.replay.behave()
        site.fetch(TUESDAY, day)
        site.fetch(WEDNESDAY, day)
    with site.rebuilt() as again:
        for table in (catalogue.ledger, catalogue.observations, catalogue.papers):
            assert site.rows(table) == again.rows(table) != [], table.name


def test_a_page_is_landed_before_anything_looks_into_it(site, monkeypatch) -> None:
    site.list(TUESDAY, 1)

    def dies(body: bytes) -> list[Any]:
        raise MemoryError

    monkeypatch.setattr("ingest.sources.huggingface._glance", dies)
    monkeypatch.setattr("ingest.sources.huggingface.parse_api", lambda *_: dies(b""))
    with pytest.raises(MemoryError):
        site.fetch(TUESDAY)
    assert len(list(site.archive.names(collect.DAILY_API, TUESDAY))) == 1
