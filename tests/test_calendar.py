"""Announcement days: weekdays, the 2026 holidays, New York's clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.calendar import (
    EVENINGS_WITHOUT_MAILING,
    announcement_days,
    is_expected_empty,
    night_of,
    previous_announcement_day,
)
from ingest.errors import BadInput


def test_a_week_has_five_listings() -> None:
    assert announcement_days("2026-08-08", "2026-08-17") == [
        *("2026-08-10", "2026-08-11", "2026-08-12", "2026-08-13", "2026-08-14"),
        "2026-08-17",
    ]
    assert announcement_days("2026-08-12", "2026-08-11") == []


def test_the_listing_after_a_holiday_is_the_one_that_is_missing() -> None:
    # Both are recorded: arXiv showed a listing for Labor Day and none for the day after.
    assert announcement_days("2026-09-04", "2026-09-09") == [
        *("2026-09-04", "2026-09-07", "2026-09-09"),
    ]


def test_every_weekday_of_2026_without_a_listing() -> None:
    days = {str(date(2026, 1, 2) + timedelta(days=n)) for n in range(365)}
    weekdays = {day for day in days if date.fromisoformat(day).weekday() < 5}
    assert sorted(weekdays - set(announcement_days("2026-01-02", "2027-01-01"))) == [
        *("2026-01-02", "2026-01-20", "2026-09-08", "2026-11-27", "2026-12-30", "2027-01-01"),
    ]


def test_holidays_of_other_years_are_not_guessed() -> None:
    assert {day[:4] for day in EVENINGS_WITHOUT_MAILING} == {"2026"}
    assert not is_expected_empty("2025-12-26")
    assert not is_expected_empty("2027-12-24")


def test_the_day_before() -> None:
    assert previous_announcement_day("2026-08-12") == "2026-08-11"
    assert previous_announcement_day("2026-08-10") == "2026-08-07"
    assert previous_announcement_day("2026-09-09") == "2026-09-07"
    assert previous_announcement_day("2026-11-30") == "2026-11-26"


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        ("2026-08-12T04:40:00+00:00", "2026-08-12"),  # 00:40, when a night is scheduled
        ("2026-08-11T23:59:59+00:00", "2026-08-11"),  # 19:59:59
        ("2026-08-12T00:00:00+00:00", "2026-08-12"),  # 20:00: mailed for the 12th
        ("2026-08-12T08:00:00+08:00", "2026-08-12"),  # the same, as Beijing says it
        ("2026-08-15T12:00:00+00:00", "2026-08-15"),  # a Saturday is its own night
        # Clocks go forward on Sunday, 8 March 2026, at 2:00
        ("2026-03-08T00:59:59+00:00", "2026-03-07"),  # Saturday 19:59:59, winter time
        ("2026-03-08T01:00:00+00:00", "2026-03-08"),
        ("2026-03-08T05:40:00+00:00", "2026-03-08"),  # 00:40, winter time
        ("2026-03-08T23:59:59+00:00", "2026-03-08"),  # Sunday 19:59:59, summer time
        ("2026-03-09T00:00:00+00:00", "2026-03-09"),
        ("2026-03-09T04:40:00+00:00", "2026-03-09"),  # 00:40, summer time
        # Clocks go back on Sunday, 1 November 2026, at 2:00
        ("2026-10-31T23:59:59+00:00", "2026-10-31"),  # Saturday 19:59:59, summer time
        ("2026-11-01T00:00:00+00:00", "2026-11-01"),
        ("2026-11-01T05:30:00+00:00", "2026-11-01"),  # 01:30 the first time
        ("2026-11-01T06:30:00+00:00", "2026-11-01"),  # 01:30 the second time
        ("2026-11-02T00:59:59+00:00", "2026-11-01"),  # Sunday 19:59:59, winter time
        ("2026-11-02T01:00:00+00:00", "2026-11-02"),
    ],
)
def test_the_night_that_a_run_belongs_to(moment, night) -> None:
    assert night_of(datetime.fromisoformat(moment)) == night


def test_a_moment_needs_a_time_zone() -> None:
    with pytest.raises(BadInput, match="2026-08-12T04:40:00 has no time zone"):
        night_of(datetime(2026, 8, 12, 4, 40))


def sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))


def by_the_law(moment: datetime) -> str:
    """The second reading: US daylight saving time as the law of 2005 has it, in UTC."""
    begin = datetime.combine(sunday(moment.year, 3, 2), datetime.min.time(), UTC)
    end = datetime.combine(sunday(moment.year, 11, 1), datetime.min.time(), UTC)
    summer = begin + timedelta(hours=7) <= moment < end + timedelta(hours=6)
    return str((moment + timedelta(hours=4 - (4 if summer else 5))).date())


@given(st.datetimes(datetime(2007, 4, 1), datetime(2036, 12, 30)), st.integers(-12, 14))
def test_night_of_agrees_with_a_second_reading(naive, offset) -> None:
    moment = naive.replace(tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=offset)))
    assert night_of(elsewhere) == by_the_law(moment)


days = st.dates(date(2025, 6, 1), date(2027, 6, 1)).map(str)


@given(days, days)
def test_days_are_weekdays_each_once_and_in_order(one, other) -> None:
    first, last = sorted((one, other))
    found = announcement_days(first, last)
    assert found == sorted(set(found))
    assert all(first <= day <= last and date.fromisoformat(day).weekday() < 5 for day in found)
    assert (
        previous_announcement_day(last)
        == announcement_days("2025-01-01", last)[-2 if found[-1:] == [last] else -1]
    )
