"""The prompt as text: question, models and papers in, and the same three out again."""

from __future__ import annotations

from dataclasses import dataclass, field

from index.related import HEADING, MODELS_HEADING, Entry, lines, parse_block
from ingest.errors import BadInput

_ROLE = """\
You are an AI scientist.

A user has asked the following question:
\""""
_TASKS = """"

Based on the following recommended models, explain:

1. What task the user is trying to perform.
2. How the model(s) would work in a CNAPS AI-like workflow (input → model → output).
3. List relevant papers and tools (with GitHub or ArXiv links) that support your answer.

Use **only the provided models and papers**. Do not refer to outside sources.

"""
_BETWEEN, _ANSWER = "\n\n", "\n\n\nAnswer:\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a prompt says; `str` gives its text, `parse_prompt` reads one."""

    question: str
    models: tuple[Entry, ...]
    papers: tuple[Entry, ...]
    left_out: tuple[Entry, ...] = field(default=(), compare=False)
    """Entries that were given and are not in the text: over the budget, or suspicious."""

    def __str__(self) -> str:
        models = _block(MODELS_HEADING, self.models)
        papers = _block(HEADING, self.papers)
        return _ROLE + self.question + _TASKS + models + _BETWEEN + papers + _ANSWER


def parse_prompt(text: str) -> Prompt:
    """Question, models and papers of a prompt: the inverse of `str(prompt)`.

    Raises BadInput for a text in any other form.
    """
    question, tasks, rest = text.removeprefix(_ROLE).partition(_TASKS)
    body = rest.removesuffix(_ANSWER)
    models, between, papers = body.partition(_BETWEEN + HEADING)
    whole = text.startswith(_ROLE) and tasks and body != rest and between
    if not whole or "\n" in question or not models.startswith(MODELS_HEADING):
        raise BadInput("not a prompt in paperfeed's form: its fixed lines are not all there")
    return Prompt(question, parse_block(models), parse_block(HEADING + papers))


def _block(heading: str, entries: tuple[Entry, ...]) -> str:
    return "\n".join([heading, "\n\n".join(lines(one, heading) for one in entries)]).rstrip("\n")
