"""A prompt cut to so many tokens: whole entries, the last ones shortened at sentence ends."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from index.prompt_form import Prompt
from index.related import HEADING, MODELS_HEADING, Entry, lines
from ingest.errors import BadInput

TOKENIZER = "tokenizer.json"
"""The file of a tokenizer in a folder or on the hub."""

CountTokens = Callable[[str], int]

_END = re.compile(r"""[.!?]["'”’)\]]*(?=\s+["'“‘(\[]?(?P<next>[^\W\d_]))|[。！？]""")
_LAST_WORD = re.compile(r"[^\W\d_]*$")
_ABBREVIATIONS = frozenset(
    "al approx ca cf dr eq eqs etc fig figs mr mrs ms no prof ref refs resp sec st tab vs".split()  # noqa: SIM905 (one word a line would take a page)
)
_LONGEST = 7
"""Letters to look back over: more than the longest abbreviation has."""


def token_counter(tokenizer: str | Path) -> CountTokens:
    """Counts a text's tokens, none of the special ones added at its ends.

    `tokenizer` is a tokenizer.json, a folder that holds one, or a model on the Hugging Face hub,
    which is downloaded unless it is cached. Raises BadInput where it cannot be had or read.
    """
    read = _read(tokenizer)
    read.no_truncation()  # an encoder's own cuts at what it reads
    read.no_padding()
    return lambda text: len(read.encode(text, add_special_tokens=False))


def fit(prompt: Prompt, budget: int, count: CountTokens) -> Prompt:
    """The prompt in at most `budget` tokens: models first, then papers, best first.

    A paper that does not fit whole has its summary cut at the end of a sentence, its first sentence
    at least; what does not fit even so is left out, and the next one is tried. Raises BadInput
    where the question and the tasks alone do not fit.
    """
    count = cache(count)
    if count(str(prompt)) <= budget:
        return prompt
    bare = count(str(replace(prompt, models=(), papers=())))
    if bare > budget:
        message = f"a budget of {budget} tokens is too small: question and tasks alone take {bare}"
        raise BadInput(message)
    room = budget - bare
    while True:
        fitted = _filled(prompt, room, count)
        over = count(str(fitted)) - budget
        if over <= 0:
            return fitted
        room -= over  # pieces joined may be more tokens than the sum of theirs


def _filled(prompt: Prompt, room: int, count: CountTokens) -> Prompt:
    """The prompt with what fits where each entry takes as many tokens as by itself."""
    models: list[Entry] = []
    papers: list[Entry] = []
    left_out = list(prompt.left_out)
    blocks = (MODELS_HEADING, prompt.models, models), (HEADING, prompt.papers, papers)
    for heading, given, kept in blocks:
        cost = partial(_cost, heading, count)
        for one in given:
            fitting = _shortened(one, room, cost)
            if fitting is None:
                left_out.append(one)
            else:
                kept.append(fitting)
                room -= cost(fitting)
    return Prompt(prompt.question, tuple(models), tuple(papers), tuple(left_out))


def _cost(heading: str, count: CountTokens, one: Entry) -> int:
    return count("\n\n" + lines(one, heading))


def _shortened(one: Entry, room: int, cost: Callable[[Entry], int]) -> Entry | None:
    """The entry whole, else with as many sentences as fit, else None."""
    if cost(one) <= room:
        return one
    summary = one.summary or ""

    def cut(end: int) -> Entry:
        return replace(one, summary=summary[:end], shortened=True)

    ends = sentence_ends(summary)
    fitting = bisect_right(ends, room, key=lambda end: cost(cut(end)))
    return cut(ends[fitting - 1]) if fitting else None


def sentence_ends(text: str) -> list[int]:
    """Where sentences end before the last one, rather too few than too many."""
    return [m.end() for m in _END.finditer(text) if not _inside_sentence(text, m)]


def _inside_sentence(text: str, end: re.Match[str]) -> bool:
    """Whether a small letter follows, or the full stop belongs to an abbreviation or initial."""
    if (end["next"] or "").islower():
        return True
    word = _LAST_WORD.search(text, max(0, end.start() - _LONGEST), end.start())
    short = word is not None and (len(word[0]) == 1 or word[0].lower() in _ABBREVIATIONS)
    return short and text[end.start()] == "."


def _read(tokenizer: str | Path) -> Any:  # noqa: ANN401 -- tokenizers ships partial types
    from tokenizers import Tokenizer  # a tenth of a second that only a budget needs

    path = Path(tokenizer)
    try:
        if path.is_dir():
            path /= TOKENIZER
        if path.exists() or path.suffix == ".json":
            return Tokenizer.from_file(str(path))
        return Tokenizer.from_pretrained(str(tokenizer))
    except Exception as error:  # the library raises bare Exception on a bad file
        what = "a tokenizer.json, a folder that holds one, or a model on the Hugging Face hub"
        raise BadInput(
            f"no tokenizer {str(tokenizer)!r} ({_first_line(error)}): give {what}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
