"""Days as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from ingest.errors import BadInput


def today() -> str:
    """The UTC day: Hugging Face refuses any later one."""
    return str(datetime.now(UTC).date())


def checked_day(text: str) -> str:
    """`text` as a day that Daily Papers can have; raises BadInput."""
    example = "give a day such as 2025-03-03"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise BadInput(f"{text!r} is not a date: {example}")
    try:
        day = str(date.fromisoformat(text))
    except ValueError:
        raise BadInput(f"{text!r} is not a day of the calendar: {example}") from None
    if day > today():
        raise BadInput(f"{day} is in the future (today is {today()}, UTC): give an earlier day")
    if day < "2023-05-04":
        raise BadInput(f"{day} is before Daily Papers began: give 2023-05-04 or later")
    return day
