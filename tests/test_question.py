"""What a question asks about, and that nothing else is ever cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.question import subject


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("Which papers propose to draw hands?", "draw hands?"),
        ("Could you tell me about any research on six fingers?", "six fingers?"),
        ("Are there any recent studies exploring the anatomy of hands", "anatomy of hands"),
        ("List works, please, that discuss gloves", "gloves"),
        # No word for papers, or nothing else, or not how a question begins.
        ("How can hands be drawn?", "How can hands be drawn?"),
        ("Which papers?", "Which papers?"),
        ("Work function of metals", "Work function of metals"),
        ("Which papers do not need labels?", "not need labels?"),
        ("", ""),
    ],
)
def test_words_that_only_ask_for_papers_are_left_out(question, about) -> None:
    assert subject(question) == about


@given(
    st.text()
    | st.lists(st.sampled_from(["which", "papers", "are", "there", "on", "hands", "?"])).map(
        " ".join
    )
)
def test_only_the_beginning_is_ever_left_out(question) -> None:
    about = subject(question)
    assert " ".join(question.split()).endswith(" ".join(about.split()))
    assert bool(about.strip()) == bool(question.strip())
