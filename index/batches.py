"""Texts to batches of like length: padding is embedded as slowly as words are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ABSTRACT = 150  # words and signs, roughly
_PIECES = re.compile(r"\w+|[^\w\s]")


def groups(texts: Sequence[str], batch: int, workers: int) -> list[list[int]]:
    """Places in `texts`, the longest first: two batches together, for `halves` to sort out.

    A batch is as many abstracts, or more of shorter texts: titles by 16 take a fifth longer than
    by 200. Words and signs foretell tokens, of which there will be 4 % padding; characters, 13 %.
    Where there are few texts, every worker gets two groups at least.
    """
    most = max(8, -(-len(texts) // (2 * workers)))
    lengths = [len(_PIECES.findall(text)) for text in texts]
    order = sorted(range(len(texts)), key=lambda place: -lengths[place])
    found: list[list[int]] = []
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        together = 2 * batch * max(1, _ABSTRACT // longest)
        found.append(order[start : start + min(together, most)])
        start += len(found[-1])
    return found


def halves(features: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The half of the texts with more tokens, then the other: their places, and what is read.

    Without the padding that neither needs; all at once where no mask tells where tokens are.
    """
    mask = features.get("attention_mask")
    if mask is None:
        yield slice(None), features
        return
    for places in mask.sum(dim=1).argsort(descending=True).chunk(2):
        read = mask[places].any(dim=0)
        read[0] = True  # an empty text may have no token at all
        cut = {
            name: one[places][:, read] if getattr(one, "shape", None) == mask.shape else one
            for name, one in features.items()
        }
        yield places.cpu().numpy(), cut
