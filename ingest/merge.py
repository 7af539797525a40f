"""Observations of one paper to the paper: pure, and the same in any order.

arXiv wins for what is printed on the paper, its newest version first. Hugging Face wins for its own
fields, its newest answer first. What one answer leaves out never erases what another gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ingest.links import find_repos, repo_of
from ingest.paper import Confirmation, Observation, Paper, Repo

PRINTED = (
    "title",
    "abstract",
    "authors",
    "categories",
    "published",
    "updated",
    "comment",
    "journal_ref",
    "doi",
    "license",
)
LIVING = ("project_page", "upvotes", "keywords", "organization")

_TRUST = {"saved_listing": 0, "huggingface": 1}  # every arXiv source stands above both
_ARXIV = 2
_LISTINGS = ("arxiv_catchup", "arxiv_feed")
"""They have less of a version than arXiv's other sources: no dates, cut lists, no primary."""
_CREDIT = ("oai", "arxiv_api", "arxiv_bulk", "arxiv_catchup", "arxiv_feed", "huggingface")


def merge(arxiv_id: str, observations: Iterable[Observation]) -> Paper:
    """The paper that all `observations` of `arxiv_id` tell together."""
    seen = list(set(observations))
    if len(seen) == 1:
        return _alone(arxiv_id, seen[0])
    seen.sort(key=_newest_first, reverse=True)
    trusted = sorted(seen, key=_most_trusted_first, reverse=True)
    said = _first_of(trusted, PRINTED) | _first_of(seen, LIVING) | _longest_history(seen)
    values: dict[str, Any] = {name: value for name, (value, _) in said.items()}
    sources = {name: source for name, (_, source) in said.items()}
    version = max((o.version for o in seen if o.version), default=None)
    listed_on = tuple(sorted({o.listed_on for o in seen if o.listed_on}))
    if version:
        sources["version"] = _best(o.source for o in seen if o.version == version)
    sources |= {"listed_on": "huggingface"} if listed_on else {}
    return Paper(
        arxiv_id=arxiv_id,
        version=version,
        withdrawn=_withdrawn(trusted),
        repos=_repos(values, seen),
        listed_on=listed_on,
        sources=dict(sorted(sources.items())),
        **values,
    )


def _alone(arxiv_id: str, o: Observation) -> Paper:
    """What one observation merges to: the same in a third of the time (imports have millions)."""
    names = (*PRINTED, *LIVING, "versions")
    given = ((name, getattr(o, name)) for name in names)
    values = {name: value for name, value in given if value is not None and value != ()}
    sources = dict.fromkeys([*values, "version"] if o.version else values, o.source)
    sources |= {"listed_on": "huggingface"} if o.listed_on else {}
    return Paper(
        arxiv_id=arxiv_id,
        version=o.version or None,
        withdrawn=bool(o.withdrawn),
        repos=_repos(values, [o]),
        listed_on=(o.listed_on,) if o.listed_on else (),
        sources=dict(sorted(sources.items())),
        **values,
    )


def confirm(paper: Paper, said: Mapping[str, Confirmation]) -> Paper:
    """The merged paper with what GitHub said of its repositories, by name in lower case.

    A moved one has its new name in the old place; of the others everything stays as it was.
    """
    if not paper.repos:
        return paper
    repos = [_confirmed(repo, said.get(repo.name.casefold())) for repo in paper.repos]
    return replace(paper, repos=_spelled_alike(repos))


def _newest_first(o: Observation) -> tuple[str, str, str]:
    return (o.seen_at, o.listed_on or "", o.to_json())


def _most_trusted_first(o: Observation) -> tuple[int, int, bool]:
    return (_TRUST.get(o.source, _ARXIV), o.version or 0, o.source not in _LISTINGS)


def _first_of(ordered: list[Observation], names: Iterable[str]) -> dict[str, tuple[Any, str]]:
    """For each name, the first value that anybody gave, and the best source that gives the same."""
    found = {}
    for name in names:
        value, sources = None, []
        for o in ordered:
            said = getattr(o, name)
            if said is None or said == ():
                continue
            if value is None:
                value = said
            if said == value:
                sources.append(o.source)
        if sources:
            found[name] = (value, sources[0] if len(sources) == 1 else _best(sources))
    return found


def _best(sources: Iterable[str]) -> str:
    """The one credited for what several say alike, whichever of them said it last."""
    return min(sources, key=lambda s: (_CREDIT.index(s) if s in _CREDIT else len(_CREDIT), s))


def _longest_history(seen: list[Observation]) -> dict[str, tuple[Any, str]]:
    """All versions, of whoever knows most of them."""
    known = max(((len(o.versions), o.versions, o.source) for o in seen), default=(0, (), ""))
    return {"versions": known[1:]} if known[0] else {}


def _withdrawn(trusted: list[Observation]) -> bool:
    """What the most trusted of those that know say; of one version, that anybody says so.

    arXiv's OAI flags withdrawn versions whose comment, all that its API has, tells nothing of it,
    so Hugging Face's word is believed as well.
    """
    knowing = [o for o in trusted if o.withdrawn is not None]
    best = max(map(_most_trusted_first, knowing), default=None)
    listed = next((o.withdrawn for o in knowing if o.source == "huggingface"), None)
    return bool(listed) or any(o.withdrawn for o in knowing if _most_trusted_first(o) == best)


def _repos(values: dict[str, Any], seen: list[Observation]) -> tuple[Repo, ...]:
    """Every link with its place: Hugging Face's field, project page, comment, abstract."""
    title = values.get("title")
    listed = _given(seen, lambda o: o.github_by == "user") or _given(seen, lambda _: True)
    page = repo_of(values.get("project_page") or "")
    links = [
        *([Repo(listed, "huggingface", own=True)] if listed else []),
        *([Repo(page, "project_page", own=True)] if page else []),
        *find_repos(values.get("comment") or "", "comment", title),
        *find_repos(values.get("abstract") or "", "abstract", title),
    ]
    return _spelled_alike(links)


def _given(seen: list[Observation], by: Callable[[Observation], bool]) -> str | None:
    """The newest repository of Hugging Face's own field."""
    named = (repo_of(o.github) for o in seen if o.github and by(o))
    return next((name for name in named if name), None)


def _confirmed(repo: Repo, said: Confirmation | None) -> Repo:
    if said is None:
        return repo
    same = said.full_name.casefold() == repo.name.casefold()
    name = repo.name if same else said.full_name
    return replace(repo, name=name, verified=said.day, stars=said.stars, archived=said.archived)


def _spelled_alike(links: list[Repo]) -> tuple[Repo, ...]:
    """One spelling a repository: the most trusted one's (GitHub does not tell case apart)."""
    spelling: dict[str, str] = {}
    for link in links:
        spelling.setdefault(link.name.casefold(), link.name)
    return tuple(replace(r, name=spelling[r.name.casefold()]) for r in links)
