"""Question, models and papers to the whole prompt; pure, and all that a prompt builder calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypedDict, Unpack

from index.budget import CountTokens, fit
from index.prompt_form import Prompt, parse_prompt
from index.related import entry
from index.suspicious import matched
from ingest.errors import BadInput
from ingest.text import exact_line, one_line

__all__ = ["Options", "Prompt", "build_prompt", "compose", "parse_prompt"]


class Options(TypedDict, total=False):
    """What a prompt may be asked for beyond question, models and papers."""

    exact: bool
    """Keep runs of blanks and the spelling of accents as they were given."""
    budget: int | None
    """Most tokens of the whole prompt; needs `count_tokens`."""
    count_tokens: CountTokens | None
    """How many tokens a text has; `index.token_counter` makes one of a tokenizer."""
    drop_suspicious: bool
    """Leave out what talks to the reader; see `index.suspicious`."""


def build_prompt(
    question: str,
    models: Iterable[object],
    papers: Iterable[object],
    **options: Unpack[Options],
) -> str:
    """The whole prompt, ending in a line break after `Answer:`; see docs/prompt.md.

    Models and papers are whatever `index.related.entry` takes. Raises BadInput.
    """
    return str(compose(question, models, papers, **options))


def compose(
    question: str,
    models: Iterable[object],
    papers: Iterable[object],
    *,
    exact: bool = False,
    budget: int | None = None,
    count_tokens: CountTokens | None = None,
    drop_suspicious: bool = False,
) -> Prompt:
    """`build_prompt` before it is text: also tells what was shortened and left out."""
    asked = (exact_line if exact else one_line)(question)
    if not asked:
        raise BadInput("the question is empty: type what the prompt is about")
    # A model has no summary line, so what its summary says cannot harm, nor be cut.
    recommended = tuple(replace(entry(one, exact=exact), summary=None) for one in models)
    prompt = Prompt(asked, recommended, tuple(entry(one, exact=exact) for one in papers))
    if drop_suspicious:
        prompt = _without_suspicious(prompt)
    if budget is None:
        return prompt
    if count_tokens is None:
        raise BadInput("a budget needs count_tokens: index.token_counter makes one of a tokenizer")
    return fit(prompt, budget, count_tokens)


def _without_suspicious(prompt: Prompt) -> Prompt:
    everything = (*prompt.models, *prompt.papers)
    dropped = tuple(one for one in everything if matched(one))
    models = tuple(one for one in prompt.models if not matched(one))
    papers = tuple(one for one in prompt.papers if not matched(one))
    return Prompt(prompt.question, models, papers, dropped)
