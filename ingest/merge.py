"""Observations of one paper to the paper: pure, and the same in any order.

arXiv wins for what is printed on the paper, its newest version first. Hugging Face wins for its own
fields, its newest answer first. What one answer leaves out never erases what another gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import asdict, replace

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
_COPIED = sorted((*PRINTED, *LIVING, "version", "versions"))

_TRUST = {"saved_listing": 0, "huggingface": 1}  # every arXiv source stands above both
_ARXIV = 2
_LISTINGS = ("arxiv_catchup", "arxiv_feed")
"""They have less of a version than arXiv's other sources: no dates, cut lists, no primary."""
_CREDIT = ("oai", "arxiv_api", "arxiv_bulk", "arxiv_catchup", "arxiv_feed", "huggingface")


def merge(arxiv_id: str, observations: Iterable[Observation]) -> Paper:
    """The paper that all `observations` of `arxiv_id` tell together."""
    seen = list(observations)
    if len(seen) == 1 or len(seen := list(set(seen))) == 1:
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
    paper = Paper(
        arxiv_id=arxiv_id,
        version=version,
        withdrawn=_withdrawn(trusted),
        listed_on=listed_on,
        sources=dict(sorted(sources.items())),
        **values,
    )
    return replace(paper, repos=links_of(paper, seen))


def _alone(arxiv_id: str, o: Observation) -> Paper:
    """What one observation merges to: the same in a third of the time (imports have millions)."""
    said = asdict(o)
    values = {n: value for n in _COPIED if (value := said[n]) is not None and value != ()}
    if not o.version:
        values.pop("version", None)
    sources = dict.fromkeys(values, o.source)
    if o.listed_on:
        values["listed_on"] = (o.listed_on,)
        sources = dict(sorted((sources | {"listed_on": "huggingface"}).items()))
    return Paper(
        arxiv_id=arxiv_id,
        withdrawn=bool(o.withdrawn),
        repos=links_of(o, [o]),
        sources=sources,
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


def _newest_first(o: Observation) -> tuple[str, str, bytes]:
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


def links_of(told: Paper | Observation, seen: list[Observation]) -> tuple[Repo, ...]:
    """Every link with its place: Hugging Face's field as it was `seen`; page, comment, abstract."""
    title = told.title
    listed = _listed([o for o in seen if o.github])
    page = repo_of(told.project_page) if told.project_page else None
    links = [
        *([Repo(listed, "huggingface", own=True)] if listed else []),
        *([Repo(page, "project_page", own=True)] if page else []),
        *find_repos(told.comment or "", "comment", title),
        *find_repos(told.abstract or "", "abstract", title),
    ]
    return _spelled_alike(links) if links else ()


def _listed(naming: list[Observation]) -> str | None:
    """The newest repository of Hugging Face's own field, those that a person filled in first."""
    naming.sort(key=lambda o: o.github_by != "user")
    return next((name for o in naming if (name := repo_of(o.github or ""))), None)


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
