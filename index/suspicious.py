"""Text that talks to the reader of a prompt instead of about research: marked, with what matched.

A list of phrases, not a judge: it explains itself, and is easily evaded. What protects a prompt is
its form, where nothing in a field can look like a line of the prompt.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from index.related import Entry
from ingest.text import one_line

_PAST = r"(?:previous|prior|preceding|earlier|above|foregoing|system|given|your|all)"
_ORDERS = r"(?:instruction|prompt|rule|direction|guideline|command|constraint|message|context)s?"
_OTHERS = r"(?:this|the (?:above|other|previous|user)|any other)"
_ANSWER = r"(?:respond|reply|answer|output|say|print|write|recommend)"
_EXACTLY = r"(?:with (?:only|exactly|the)|that|this|the following|exactly)"
_READER = r"(?:the |all |any )?(?:ai|llm|language model|chatbot|assistant|model)s?"
_PHRASES = (
    # "ignore all previous instructions", "disregard everything above"
    r"(?:ignore|disregard|forget|override|bypass) (?:\w+ ){0,3}?"
    rf"{_PAST} (?:\w+ ){{0,2}}?{_ORDERS}",
    r"(?:ignore|disregard|forget) (?:the above|"
    r"(?:everything|anything|all|what) (?:\w+ ){0,2}(?:above|before|previously|so far))",
    # another role for the reader
    r"you are (?:now|no longer)",
    r"from now on,? you",
    rf"as an ai (?:language )?(?:model|assistant),? (?:you|i|please|only|always|{_ANSWER})",
    # what the reader was told before, or is told now
    r"(?:reveal|print|output|repeat|show|leak) (?:me )?your (?:\w+ )?(?:prompt|instructions?)",
    rf"(?:note|message|attention|instructions?),? (?:to|for) {_READER}(?= ?[:,])",
    r"(?:new|updated|hidden|real|secret|urgent|important) (?:system )?instructions?(?= ?:)",
    r"system (?:prompt|message|override)(?= ?:)",
    rf"you (?:must|should|will|shall) (?:now |only |always |instead )?{_ANSWER}",
    rf"instead,? (?:only )?{_ANSWER} (?:only )?{_EXACTLY}",
    rf"do not (?:mention|reveal|follow|use|list) {_OTHERS}",
    r"give an? positive review only|do not highlight any negatives",
)
_MARKUP = (
    # what begins and ends a turn, for common models
    r"<\|[a-z_]{2,30}\|>",
    r"\[/?inst\]",
    r"<</?sys>>",
    r"</s>",
    r"</?(?:start_of_turn|end_of_turn|system|assistant|user|instructions?)>",
    r"(?:^|[.!?] )(?:system|assistant) ?:",
    # a heading, in the prompt's own form among others
    r"## ?(?:recommended ai models|related papers|system|assistant|instructions?|response)\b",
)


def matched(entry: Entry) -> tuple[str, ...]:
    """What in the entry's name and summary addresses the reader, as it stands there in lower case.

    Compatibility forms of letters (fullwidth, mathematical) count as the letters they stand for.
    """
    fields = (unicodedata.normalize("NFKC", text) for text in (entry.name, entry.summary or ""))
    text = "\n".join(map(one_line, fields)).lower()
    return tuple(dict.fromkeys(match[0].strip() for match in _suspicious().finditer(text)))


@cache
def _suspicious() -> re.Pattern[str]:
    """Compiled when first asked for: that takes longer than importing this file."""
    return re.compile(rf"\b(?:{'|'.join(_PHRASES)})\b|{'|'.join(_MARKUP)}", re.MULTILINE)
