"""A record of our own export, back to observations that merge to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ingest.paper import Observation
from ingest.text import one_line

SOURCE = "export"
"""Who said what a record names no source for."""
LISTING = "huggingface"
"""Whose listing `listed_on` names, and whose field has repositories of its own."""

_TEXTS = (
    *("title", "abstract", "published", "updated", "comment", "journal_ref", "doi", "license"),
    *("project_page", "organization"),
)
_LISTS = ("authors", "categories", "versions", "keywords", "listed_on")
_COUNTS = ("version", "upvotes")


def observations(arxiv_id: str, record: Mapping[str, Any], seen_at: str) -> list[Observation]:
    """What each source that the record names has said, and one more for each day on the list.

    An export does not tell when it was made: it counts from the newest day in the record, so that
    what its sources said since then stands. Raises ValueError for what no export has.
    """
    paper = _checked(record)
    days = sorted(set(paper.pop("listed_on", ())))
    moment = _newest_moment([*days, paper.get("updated"), paper.get("published")], seen_at)
    by_source = _by_source(paper, _named(record.get("sources")), withdrawn=record.get("withdrawn"))
    listed = by_source[LISTING]
    listed |= {"listed_on": days.pop()} if days else {}
    listed |= {"github": github} if (github := _github(record.get("repos"))) else {}
    told = [Observation(who, arxiv_id, moment, **said) for who, said in by_source.items() if said]
    earlier = (Observation(LISTING, arxiv_id, moment, listed_on=day) for day in days)
    return [*told, *earlier] or [Observation(SOURCE, arxiv_id, seen_at)]


def _checked(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the record says, texts as clean lines; raises ValueError."""
    said: dict[str, Any] = {name: _line(name, record.get(name)) for name in _TEXTS}
    for name in _LISTS:
        lines = _list(name, record.get(name))
        said[name] = tuple(line for one in lines if (line := _line(name, one)))
    for name in _COUNTS:
        said[name] = record.get(name)
        if said[name] is not None and not _is_count(said[name]):
            raise ValueError(f"{name} is no number")
    return {name: value for name, value in said.items() if value is not None and value != ()}


def _is_count(told: object) -> bool:
    """A number that a database column holds; to Python a bool is a number, too."""
    return type(told) is int and 0 <= told < 2**63


def _line(name: str, told: object) -> str | None:
    if told is None:
        return None
    if not isinstance(told, str):
        raise ValueError(f"{name} is no text")
    return one_line(told) or None


def _list(name: str, told: object) -> list[Any]:
    if told is None:
        return []
    if not isinstance(told, list):
        raise ValueError(f"{name} is no list")
    return told


def _newest_moment(told: list[str | None], seen_at: str) -> str:
    """The beginning of the newest day named."""
    day = max((moment[:10] for moment in told if moment), default="")
    return min(f"{day}T00:00:00.000000Z", seen_at) if day else seen_at


def _named(sources: object) -> dict[str, str]:
    told = sources.items() if isinstance(sources, dict) else ()
    return {field: one_line(name) or SOURCE for field, name in told if isinstance(name, str)}


def _by_source(
    paper: Mapping[str, Any], sources: Mapping[str, str], *, withdrawn: object
) -> defaultdict[str, dict[str, Any]]:
    """What each source said; of withdrawal knows who gave the version or else the title."""
    said: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for name, value in paper.items():
        said[sources.get(name, SOURCE)][name] = value
    if withdrawn is True or "version" in paper:
        knowing = sources.get("version") or sources.get("title") or SOURCE
        said[knowing]["withdrawn"] = withdrawn is True
    return said


def _github(repos: object) -> str | None:
    """The repository that stood in Hugging Face's own field; the others are found in the texts."""
    for repo in _list("repos", repos):
        if isinstance(repo, dict) and repo.get("found_in") == "huggingface":
            name = _line("a repository's name", repo.get("name"))
            return f"https://github.com/{name}" if name else None
    return None
