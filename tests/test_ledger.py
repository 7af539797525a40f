"""The ledger: states, and which days a night asks for."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ingest import ledger
from ingest.catalogue import ledger as ledger_table
from ingest.catalogue import open_catalogue
from ingest.ledger import Partition, State, days_between, judge, open_days, shifted

MONDAY, SATURDAY = "2025-03-03", "2025-03-08"


@pytest.mark.parametrize(
    ("day", "received", "failure", "label"),
    [
        (MONDAY, 24, None, "ok(24)"),
        (SATURDAY, 2, None, "ok(2)"),
        (SATURDAY, 0, None, "empty-expected"),
        (MONDAY, 0, None, "empty-suspect(no entries on a weekday)"),
        (MONDAY, 15, "cut off", "partial(cut off)"),
        (MONDAY, 0, "timed out", "failed(timed out)"),
        (SATURDAY, 0, "timed out", "failed(timed out)"),
    ],
)
def test_states(day, received, failure, label) -> None:
    assert judge("huggingface", day, received, failure).label == label


def test_the_newest_probe_stands(tmp_path) -> None:
    engine = open_catalogue(tmp_path / "c.sqlite")
    with engine.begin() as db:
        ledger.close(db, judge("huggingface", MONDAY, 0, "timed out"))
        ledger.close(db, judge("huggingface", MONDAY, 7, None)._replace(night="2025-03-04"))
        ledger.close(db, judge("other", MONDAY, 1, None))
    with engine.connect() as db:
        assert ledger.partitions(db, "huggingface") == [
            Partition("huggingface", MONDAY, State.OK, 7, night="2025-03-04")
        ]
        assert len(ledger.partitions(db)) == 2


@pytest.mark.parametrize("failed", [(0, "timed out"), (3, "cut off"), (0, None)])
def test_a_failed_refresh_takes_nothing_from_a_day_that_was_whole(tmp_path, failed) -> None:
    whole = judge("huggingface", MONDAY, 7, None)._replace(night=MONDAY)
    with open_catalogue(tmp_path / "c.sqlite").begin() as db:
        ledger.close(db, whole)
        ledger.close(db, judge("huggingface", MONDAY, *failed)._replace(night="2025-03-05"))
        assert ledger.partitions(db) == [whole]


def test_a_day_whose_refresh_is_owed_is_asked_for_until_it_came() -> None:
    first_sight = judge("huggingface", MONDAY, 7, None)._replace(night=MONDAY)
    settled = first_sight._replace(night="2025-03-09")
    assert MONDAY in open_days([first_sight], "2025-03-20", 7)
    assert MONDAY not in open_days([settled], "2025-03-20", 7)


def test_the_first_night_asks_for_its_window_only() -> None:
    assert open_days([], "2025-03-05", 3) == ["2025-03-03", "2025-03-04", "2025-03-05"]


def test_a_missed_night_and_a_failed_day_are_caught_up() -> None:
    known = [
        judge("huggingface", "2025-02-10", 5, None)._replace(night="2025-02-12"),
        judge("huggingface", "2025-02-11", 0, "timed out"),
        judge("huggingface", "2025-02-12", 5, None)._replace(night="2025-02-13"),
    ]
    assert open_days(known, "2025-02-16", 2) == [
        "2025-02-11",
        "2025-02-13",
        "2025-02-14",
        "2025-02-15",
        "2025-02-16",
    ]


days = st.dates(date(2025, 1, 1), date(2025, 2, 28)).map(str)
outcomes = st.tuples(days, st.integers(0, 3), st.none() | st.just("down"))


@given(
    st.lists(outcomes), st.dates(date(2025, 3, 1), date(2025, 3, 20)).map(str), st.integers(1, 9)
)
def test_no_open_day_is_ever_lost(ends, night, window) -> None:
    known = list({p.day: p for p in (judge("hf", *end) for end in ends)}.values())
    asked = set(open_days(known, night, window))
    for p in known:
        assert p.state in ledger.CLOSED or p.day in asked
    first = min((p.day for p in known), default=night)
    never_seen = set(days_between(first, night)) - {p.day for p in known}
    assert never_seen <= asked
    assert {str(date.fromisoformat(night) - timedelta(days=n)) for n in range(window)} <= asked


nights = st.lists(
    st.none() | st.sets(st.integers(0, 12), max_size=4), min_size=1, max_size=25
)  # not run at all, or run with the days so many back failing


@given(nights, st.integers(1, 9))
def test_after_any_outages_one_good_night_leaves_nothing_open(outages, window) -> None:
    engine, start = sa.create_engine("sqlite://"), date(2025, 3, 3)
    ledger_table.create(engine)
    with engine.begin() as db:
        for number, failing in enumerate([set[int](), *outages, set[int]()]):
            night = str(start + timedelta(days=number))
            if failing is not None:
                down = {str(date.fromisoformat(night) - timedelta(days=n)) for n in failing}
                run(db, night, window, down)
        known = ledger.partitions(db, "hf")
    assert all(p.state in ledger.CLOSED for p in known)
    assert [p.day for p in known] == days_between(shifted(str(start), 1 - window), night)
    # Settled: fetched whole on the last night of its window, or later.
    assert all(p.night >= min(night, shifted(p.day, window - 1)) for p in known)


def run(db: sa.Connection, night: str, window: int, down: set[str]) -> None:
    for day in open_days(ledger.partitions(db, "hf"), night, window):
        end = judge("hf", day, 0, "down") if day in down else judge("hf", day, 5, None)
        ledger.close(db, end._replace(night=night))
