"""A question to its whole prompt: the models and papers found for it, then composed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

from index import snapshot
from index.budget import CountTokens, token_counter
from index.models import EXAMPLE, ModelSearch, Recommendation, read_models
from index.opened import Hit
from index.prompt import Prompt, compose
from index.related import Entry, entry
from index.retriever import MOST_RESULTS, Narrowing, Retriever
from index.snapshot import ENCODER
from index.suspicious import matched


def prompt_for(
    question: str,
    retriever: Retriever,
    models: ModelSearch,
    k: int = 3,
    *,
    model_count: int = 1,
    budget: int | None = None,
    count_tokens: CountTokens | None = None,
    drop_suspicious: bool = False,
    **narrowing: Unpack[Narrowing],
) -> Prompt:
    """The prompt with the best models and the k best papers; see `build_prompt`. Raises BadInput.

    With `drop_suspicious`, further papers stand in for those that are dropped.
    """
    hits = retriever.related_papers(question, k, **narrowing)
    wanted = k
    while drop_suspicious and len(hits) == wanted < MOST_RESULTS and len(_clean(hits)) < k:
        wanted = min(2 * wanted, MOST_RESULTS)
        hits = retriever.related_papers(question, wanted, **narrowing)
    return compose(
        question,
        models.search(question, model_count),
        _up_to(k, hits) if drop_suspicious else hits,
        budget=budget,
        count_tokens=count_tokens,
        drop_suspicious=drop_suspicious,
    )


def prompt_at(
    question: str,
    path: Path,
    catalogue: Path | None,
    k: int,
    *,
    model_count: int,
    budget: int | None,
    tokenizer: str | None,
    drop_suspicious: bool,
    reranker: str | None = None,
    **narrowing: Unpack[Narrowing],
) -> Prompt:
    """`prompt_for` with what is named opened: a home or snapshot, a catalogue, a tokenizer.

    Without a catalogue the bundled one, without a tokenizer the one of the snapshot's encoder.
    """
    retriever = Retriever.open(path, reranker=reranker)
    own = snapshot.locate(path) / ENCODER
    count = token_counter(tokenizer or own) if budget else None
    return prompt_for(
        question,
        retriever,
        ModelSearch(retriever, read_models(catalogue or EXAMPLE)),
        k,
        model_count=model_count,
        budget=budget,
        count_tokens=count,
        drop_suspicious=drop_suspicious,
        **narrowing,
    )


def to_record(prompt: Prompt) -> dict[str, Any]:
    """The prompt ready for JSON: its text, and each entry with its record and what is suspicious.

    A paper has the fields that `Paper.to_record` gives it, and `name`, `paper`, `github`, `summary`
    as they stand in the prompt; `left_out` names what was found and is not in it.
    """
    return {
        "question": prompt.question,
        "models": [_entry_record(one) for one in prompt.models],
        "papers": [_entry_record(one) for one in prompt.papers],
        "left_out": [one.name for one in prompt.left_out],
        "prompt": str(prompt),
    }


def _clean(hits: list[Hit]) -> list[Hit]:
    return [hit for hit in hits if not matched(entry(hit))]


def _up_to(k: int, hits: list[Hit]) -> list[Hit]:
    """The hits as far as the k-th clean one."""
    clean = _clean(hits)
    return hits[: clean[k - 1].rank] if len(clean) >= k else hits


def _entry_record(one: Entry) -> dict[str, Any]:
    why = matched(one)
    return {
        **_source_record(one.source),
        "name": one.name,
        "paper": one.paper,
        "github": one.github,
        "summary": one.summary,
        "shortened": one.shortened,
        "suspicious": bool(why),
        "matched": list(why),
    }


def _source_record(source: object) -> dict[str, Any]:
    if isinstance(source, Hit):
        return {"rank": source.rank, "score": source.score, **source.paper.to_record()}
    if isinstance(source, Recommendation):
        return {"rank": source.rank, "score": source.score, **asdict(source.model)}
    return {}
