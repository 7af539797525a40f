"""arXiv identifiers: every form people paste, read into one.

The grammar is arXiv's own (`arxiv.identifier` of arxiv-base, and the arXiv identifier pages).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ingest.errors import BadInput

# Archives that ever gave out old-style ids. Those founded after March 2007 (stat, q-fin, econ,
# eess) have none: their papers only know the new style.
ARCHIVES = frozenset(
    {
        *("acc-phys", "adap-org", "alg-geom", "ao-sci", "astro-ph", "atom-ph", "bayes-an"),
        *("chao-dyn", "chem-ph", "cmp-lg", "comp-gas", "cond-mat", "cs", "dg-ga", "funct-an"),
        *("gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math", "math-ph", "mtrl-th", "nlin"),
        *("nucl-ex", "nucl-th", "patt-sol", "physics", "plasm-ph", "q-alg", "q-bio", "quant-ph"),
        *("solv-int", "supr-con"),
    }
)
NEW_STYLE_BEGINS = "0704"
FIVE_DIGITS_BEGIN = "1501"
OLD_STYLE_BEGINS = 199107
OLD_STYLE_ENDS = 200703

_PREFIX = re.compile(
    r"""(?: arXiv:\s*
          | oai:arXiv\.org:
          | (?:https?://)? (?:[a-z]+\.)? arxiv\.org / (?:abs|pdf|html|format|e-print|ps) /
          | (?: (?:https?://)? (?:dx\.)? doi\.org/ | doi:\s* )? 10\.48550/arXiv\.
          | (?:https?://)? (?:www\.)? alphaxiv\.org / (?:abs|pdf|overview) /
          | (?:https?://)? (?:www\.)? (?:huggingface\.co|hf\.co) / papers /
        )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_REST_OF_ADDRESS = re.compile(r"(?P<id>[^\s?#]*)(?:[?#]\S*)?")
_VERSION = r"(?:[vV](?P<version>[1-9][0-9]{0,3}))?"
_MONTH = "(?P<month>[0-9]{2}(?:0[1-9]|1[0-2]))"
_NEW = re.compile(rf"{_MONTH}\.(?P<number>[0-9]{{4,5}}){_VERSION}(?:\.pdf)?")
_OLD = re.compile(
    r"(?P<archive>[a-z]+(?:-[a-z]+)?)(?:\.[A-Za-z-]{2,})?/"
    rf"{_MONTH}(?P<number>[0-9]{{3}}){_VERSION}(?:\.pdf)?"
)


class ArxivId(NamedTuple):
    """An arXiv identifier; `base` is the paper's identity, `version` None where none was named."""

    base: str
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.base}v{self.version}" if self.version else self.base


def parse(text: str) -> ArxivId:
    """Read one identifier, bare or in any address that holds it; raises BadInput on all else."""
    bare = text.strip()
    if new := _NEW.fullmatch(bare) or _NEW.fullmatch(bare := _without_address(bare)):
        base = _new_style(new["month"], new["number"])
    elif old := _OLD.fullmatch(bare):
        base = _old_style(old["archive"], old["month"], old["number"])
    else:
        base = None
    match = new or old
    if base is None or match is None:
        raise BadInput(
            f"{text[:80]!r} is not an arXiv id: type one like 2304.08733, 2304.08733v2 or "
            "hep-th/9901001, or the address of its arXiv page"
        )
    return ArxivId(base, int(match["version"]) if match["version"] else None)


def find(text: str) -> ArxivId | None:
    """The identifier as `parse` reads it, or None where it would raise."""
    try:
        return parse(text)
    except BadInput:
        return None


def _without_address(text: str) -> str:
    """The id as it stands in the address, without query and fragment; other text as it is."""
    prefix = _PREFIX.match(text)
    rest = _REST_OF_ADDRESS.fullmatch(text, prefix.end()) if prefix else None
    return rest["id"].removesuffix("/") if rest else text


def _new_style(month: str, number: str) -> str | None:
    """The base id with as many digits as its month demands (4 before 1501, 5 since)."""
    digits = 4 if month < FIVE_DIGITS_BEGIN else 5
    if month < NEW_STYLE_BEGINS or not 0 < int(number) < 10**digits:
        return None
    return f"{month}.{number[-digits:]:0>{digits}}"


def _old_style(archive: str, month: str, number: str) -> str | None:
    """The base id without its subject class, which arXiv drops too."""
    century = "19" if month >= "9000" else "20"
    in_use = OLD_STYLE_BEGINS <= int(century + month) <= OLD_STYLE_ENDS
    if archive not in ARCHIVES or not in_use or int(number) == 0:
        return None
    return f"{archive}/{month}{number}"
