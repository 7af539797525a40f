"""Whether arXiv's words for a paper say that it is withdrawn."""

from __future__ import annotations

import re

# Comments say it in a thousand ways: of 313 withdrawn papers found by these words among 120,000
# records, the first form has nearly all. "Withdrawn from" a conference is another matter.
_PAPER = r"(?:paper|article|submission|manuscript|preprint|work|version|report|thesis|draft|note)s?"
_IS = r"(?:(?:has|have|had) been|is being|is|was) (?:\w+ly )?"
_STATED = (
    rf"(?<!version of )(?:this|the|our) (?:current |present )?{_PAPER} {_IS}withdrawn\b(?! from\b)"
)
_BY = r"withdrawn by (?:the )?(?:authors?|arxiv)\b"
_BARE = (
    rf"(?:^|[.:] )(?:{_PAPER} )?(?:{_IS})?(?:administratively )?withdrawn"
    r"(?= ?(?:$|[.,:;(-]|(?:due|by|because|as|since|for|pending|until|in|at|to|after)\b))"
)
_IN_COMMENT = re.compile(
    rf"\b{_STATED}|\b{_BY}|{_BARE}|\bhave withdrawn (?:this|the) {_PAPER}\b", re.IGNORECASE
)
# An abstract may be about withdrawals: there it counts only as the very first words.
_IN_ABSTRACT = re.compile(rf"\W*(?:{_STATED}|(?:this {_PAPER} )?{_BY})", re.IGNORECASE)


def says_withdrawn(comment: str, abstract: str) -> bool:
    """Whether arXiv's comment or abstract, each one line, tells that the paper is withdrawn."""
    said = "withdrawn" in comment.lower() and _IN_COMMENT.search(comment)
    return bool(said or _IN_ABSTRACT.match(abstract))
