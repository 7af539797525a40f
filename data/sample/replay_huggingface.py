"""Hugging Face's Daily Papers for the replay: the API by day, week, month, and what is trending.

`huggingface/YYYY-MM-DD.json` of the wire folder holds a day's array as the API gives it. Weeks,
months, the trending list and a paper's own answer are put together from the days; the listing pages
embed the same data. The API's pages are shorter (15) than the real ones.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

PAGE = 15
JSON, HTML, TEXT = "application/json", "text/html", "text/plain"

Query = Mapping[str, str]
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

_NUMBER = re.compile(r"[0-9]{1,9}")
_FORMS = {"date": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


def daily_papers(folder: Path, query: Query, address: str) -> Reply:
    """The JSON API: one page of a list, with the link to the next one."""
    if refusal := _refusal(query):
        return as_json({"error": refusal}, 400)
    items = _list(folder, query)
    size = min(int(query.get("limit", 50)), PAGE)
    page = int(query.get("p", 0))
    rest = items[page * size :]
    headers = {
        "RateLimit": '"api";r=489;t=123',
        "RateLimit-Policy": '"fixed window";"api";q=500;w=300',
    }
    if len(rest) > size:
        following = urlencode({**query, "p": str(page + 1)})
        headers["Link"] = f'<{address}?{following}>; rel="next"'
    status, media, body = as_json(rest[:size])
    return status, media | headers, body


def of_the_day_before(folder: Path, query: Query) -> dict[str, str]:
    """The same query; where it is for the newest day, for the one before."""
    *_, before, newest = ["", "", *_days(folder)]
    return {**query, "date": before} if before and query.get("date") == newest else dict(query)


def paper(folder: Path, arxiv_id: str) -> Reply:
    """What the API says of one paper; 404 for one that no list has."""
    for item in _newest_first(folder):
        if item["paper"]["id"] == arxiv_id:
            return as_json(item["paper"])
    return as_json({"error": "Paper not found"}, 404)


def listing(folder: Path, path: str, pages: str) -> Reply:
    """A page such as `date/2025-03-03`; one without papers redirects to the newest day."""
    days = _days(folder)
    kind, _, when = path.strip("/").partition("/")
    if not days:
        return as_json({"error": "no papers at all"}, 404)
    if path.strip("/") == "trending":
        return listing_page("trending", "", _newest_first(folder))
    items = _list(folder, {kind: when}) if kind in _FORMS else []
    if not items and not (kind == "date" and when in days):
        return 302, {"Content-Type": TEXT, "Location": f"{pages}/date/{days[-1]}"}, b""
    return listing_page("day" if kind == "date" else kind, when, items, days)


def listing_page(kind: str, when: str, items: Sequence[Any], days: Sequence[str] = ()) -> Reply:
    """A page around its data."""
    props = {"periodType": kind, "dateString": when, "dailyPapers": items}
    if kind == "day":
        here = days.index(when)
        props["prevDate"] = days[max(here - 1, 0)]
        props["nextDate"] = days[min(here + 1, len(days) - 1)]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Daily Papers</title>'
        '</head><body>\n<div class="SVELTE_HYDRATER contents" data-target="MainHeader" '
        'data-props="{}"></div>\n<div class="SVELTE_HYDRATER contents" data-target="DailyPapers" '
        f'data-props="{html.escape(json.dumps(props))}"></div>\n'
        '<a href="https://github.com/huggingface">GitHub</a>\n</body></html>\n'
    )
    return 200, {"Content-Type": HTML}, page.encode()


def as_json(value: object, status: int = 200) -> Reply:
    """A value as the API sends it."""
    return status, {"Content-Type": JSON}, json.dumps(value, ensure_ascii=False).encode()


def _refusal(query: Query) -> str | None:
    """The service's words for parameters that it does not take."""
    if "date" in query:
        asked = _as_day(query["date"])
        if asked is None:
            return "Invalid date"
        if asked > datetime.now(UTC).date():
            return "Date is in the future"
    if query.get("sort", "trending") not in ("publishedAt", "trending"):
        return "Invalid sort"
    for name, lowest in (("p", 0), ("limit", 1)):
        value = query.get(name, "1")
        if not _NUMBER.fullmatch(value) or int(value) < lowest:
            return f"{name}: expected number to be >={lowest}"
    if int(query.get("limit", 1)) > 100:
        return "Too big: expected number to be <=100"
    return None


def _as_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _list(folder: Path, query: Query) -> list[Any]:
    """The items of a day, a week or a month; of everything, newest first, where none is named."""
    kind = next((name for name in _FORMS if name in query), None)
    if kind is None or query.get("sort") == "trending":
        return _newest_first(folder)
    days = _days(folder)
    meant = [day for day in days if date.fromisoformat(day).strftime(_FORMS[kind]) == query[kind]]
    items = [item for day in meant for item in _day(folder, day)]
    return items if kind == "date" else sorted(items, key=_upvotes, reverse=True)


def _upvotes(item: Mapping[str, Any]) -> int:
    return int(item["paper"].get("upvotes", 0))


def _days(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "huggingface").glob("????-??-??.json"))


def _day(folder: Path, day: str) -> list[Any]:
    items: list[Any] = json.loads((folder / "huggingface" / f"{day}.json").read_bytes())
    return items


def _newest_first(folder: Path) -> list[Any]:
    return [item for day in reversed(_days(folder)) for item in _day(folder, day)]
