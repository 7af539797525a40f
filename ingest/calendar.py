"""arXiv's announcement days: pure functions over dates and New York time.

An announcement day is the date in a listing's own heading ("Showing new listings for Wednesday, 12
August 2026"). That mailing went out at 20:00 New York time on the evening before, Sunday to
Thursday; so the headings fall on Monday to Friday. A holiday in arXiv's list is an *evening*
without a mailing: the listing that is missing is the next day's. (In 2026 there were listings for
Monday, 19 January, Friday, 19 June, and Monday, 7 September; there was none for 8 September.)
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ingest.errors import BadInput

NEW_YORK = ZoneInfo("America/New_York")
MAILED_AT = time(20)

# arXiv's own list (info.arxiv.org/help/availability.html). Other years are not guessed: wrongly
# expecting nothing would lose a day, while a holiday that nobody told us about comes back empty and
# is asked for again until arXiv itself names a later day.
EVENINGS_WITHOUT_MAILING = frozenset(
    {
        *("2026-01-01", "2026-01-19", "2026-06-19", "2026-07-03", "2026-09-07"),
        *("2026-11-26", "2026-12-25", "2026-12-29", "2026-12-31"),
    }
)


def announcement_days(first: str, last: str) -> list[str]:
    """The days from `first` to `last`, both included, for which a listing is due, oldest first."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = (str(start + timedelta(days=n)) for n in range((end - start).days + 1))
    return [day for day in days if not is_expected_empty(day)]


def is_expected_empty(day: str) -> bool:
    """Whether no listing is due for `day`: a weekend, or the day after an evening without mail."""
    listed = date.fromisoformat(day)
    return listed.weekday() >= 5 or str(listed - timedelta(days=1)) in EVENINGS_WITHOUT_MAILING


def night_of(moment: datetime) -> str:
    """The day that a run at `moment` belongs to: the date of the newest listing that can be out.

    It is New York's date, from 20:00 there on that of tomorrow. A run on a Saturday belongs to that
    Saturday, for which no listing is due. Raises BadInput for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise BadInput(f"{moment.isoformat()} has no time zone: give one, for example +00:00")
    there = moment.astimezone(NEW_YORK)
    mailed = there.time() >= MAILED_AT
    return str(there.date() + timedelta(days=1) if mailed else there.date())


def previous_announcement_day(day: str) -> str:
    """The announcement day before `day`."""
    before = date.fromisoformat(day) - timedelta(days=1)
    while is_expected_empty(str(before)):
        before -= timedelta(days=1)
    return str(before)
