"""What a question asks about."""

from __future__ import annotations

import re
from itertools import takewhile

from index.lexical import ABOUT_PAPERS, STOP_WORDS

_FIRST = frozenset(
    (  # noqa: SIM905 (one word a line would take a page)
        "any are can could did do does find give has have how i in is let list name please provide "
        "show tell there what where which who would"
    ).split()
)
"""How a question or a request begins; what begins otherwise may be a title."""

_ASKING = (STOP_WORDS - {"no", "nor", "not"}) | frozenset(
    (  # noqa: SIM905 (as above)
        "address addressed concerning demonstrated describe described describes discuss discussed "
        "discusses discussing examine examined example examples explore explored explores "
        "exploring find focus focused focuses focusing give introduce introduced introduces "
        "investigate investigated investigates know latest let list mention mentioned name present "
        "presented presents propose proposed proposes provide provided provides recent recommend "
        "regarding related showed shown suggest tell worked working"
    ).split()
)
"""Words that come before what is asked about, beside those for papers."""


def subject(question: str) -> str:
    """The question without its first words, where these only ask for papers: `Which papers ...`.

    They say nothing of what is asked about, and cost time to encode.
    """
    words = question.split()
    bare = (re.sub(r"\W", "", word).lower() for word in words)
    asking = list(takewhile(lambda word: word in _ASKING or word in ABOUT_PAPERS, bare))
    asks = asking[:1] and asking[0] in _FIRST and not ABOUT_PAPERS.isdisjoint(asking)
    return " ".join(words[len(asking) :]) or question if asks else question
