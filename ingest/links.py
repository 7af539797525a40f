"""GitHub addresses in text: found, mended, and judged the work's own or merely mentioned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ingest.paper import Place, Repo

# What typesetting makes of a hyphen. An em dash is left out: it is punctuation.
_DASH = "\u2010\u2011\u2012\u2013\u2212"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_BREAK = r"[ \t]*\r?\n[ \t]*"
# No repository is called so: the address ended there, the sentence goes on.
_NOT_PROSE = (
    r"(?!(?:and|as|at|by|for|from|in|is|it|of|on|or|our|the|this|to|under|we|where|which|with)"
    r"(?![\w-]))"
)
# Owner and name as GitHub spells them, with whatever mending takes away still inside. Every
# repetition is possessive (++, *+): the search stays linear on any text.
_ADDRESS = re.compile(
    rf"""(?: https?:[ ]?/+ | (?:ssh://)?git@ | (?<=//) | (?<![\w./-]) )
         (?: (?:www\.)? github\.com | raw\.githubusercontent\.com | api\.github\.com/repos )
         (?: :[0-9]+(?=/) )?
         (?P<path>
           [:/]++ (?: (?<=/) (?:{_BREAK}|[ ]) {_NOT_PROSE} )?
           (?P<owner> [a-z0-9]++ (?: (?: -(?:{_BREAK})? | [{_DASH}] ) [a-z0-9]++ )*+ )
           /++ (?: {_BREAK} {_NOT_PROSE}
                 | [ ] {_NOT_PROSE} (?= [a-z0-9]++ [-_] | (?-i: [A-Za-z0-9]*? [a-z0-9][A-Z]) ) )?
           (?P<name> (?: [a-z0-9._]
                       | -{_BREAK} {_NOT_PROSE} (?=[a-z0-9])
                       | -
                       | [{_DASH}] (?=[a-z0-9])
                       | \\++[_-]
                     )++ )
         )
         (?: [/?\#] [^\s,;()<>\[\]{{}}"'|]*+ )?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_HOST = re.compile("github", re.IGNORECASE | re.ASCII)
_LONGEST_SCHEME = 64
_MENDED = re.compile(rf"[{_DASH}\s]")
_LONGEST_OWNER = 39
_LONGEST_NAME = 100
# First segments of github.com that are GitHub's own pages.
_RESERVED = frozenset(
    {
        *("about", "account", "apps", "blog", "codespaces", "collections", "contact", "copilot"),
        *("customer-stories", "dashboard", "discussions", "enterprise", "events", "explore"),
        *("features", "issues", "join", "login", "logout", "marketplace", "new", "notifications"),
        *("organizations", "orgs", "pricing", "pulls", "readme", "search", "security", "sessions"),
        *("settings", "signup", "site", "solutions", "sponsors", "stars", "topics", "trending"),
        *("user-attachments", "users", "watching"),
    }
)

_REACH = 400
"""How many characters before and after an address its sentence is looked for in."""
_SENTENCE_END = re.compile(r"[.!?][\"')\]}]*\s++(?![a-z])|[.!?]\s+(?=https?:)|\n\s*\n")
_OFFER = re.compile(
    r"""\b(?: codes? | code-?base | implementations? | projects? | repo | repository | repositories
            | github | homepage | website | webpage | page | demos? | link | url | toolkit
            | resources | materials | scripts? | supplementa\w+
            | ava(?:il|li)\w* | access\w* | releas\w+ | publish\w* | public\w* | open[- ]?sourc\w+
            | found | provided? | shared? | hosted | obtained | download\w* | distributed
            | maintain\w* | updat\w+ | refer | visit | our
            | we\s+(?:present|introduce|propose|develop\w*|(?:will\s+)?keep)
            | see (?=\s*$)
            )\b
      | :\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
# The last words before an address that make it somebody else's: "built on top of NAME (".
_DEPENDENCY = re.compile(
    r"""\b(?: (?: (?:based|buil[dt]|builds|building|relies|rely|on\s+top) \s+ (?:(?:up)?on|of)
                | (?:top|fork|forks|clone|extension) \s+ of
                | (?:adapted|borrowed|forked|derived|modified|taken) \s+ from
                | adapt(?:s|ing)? | reus(?:e|es|ing) | extends | extending
                | us(?:e|es|ing) \s+ (?:the\s+)? (?:\w+\s+)? code \s+ (?:of|from|in)
                | compared\s+(?:to|with)
                | thanks\s+to | powered\s+by
              ) (?: \s+ (?!is\b|are\b|be\b|avail) [^\s,;:()]+ ){0,5} :?
            | (?: use | uses | using | we\s+(?:have\s+)?used | unlike | like | such\s+as
                | evaluated?\s+on | trained\s+on | implemented\s+(?:in|with|on) | compatible\s+with
              ) (?: \s+ (?!at\b|in\b|from\b|code\b|is\b|are\b|link\b) [^\s,;:()]+ ){0,4}
           )
         [\s(\[{~]* (?: \\(?:url|href|footnote)\s*\{ )* $""",
    re.VERBOSE | re.IGNORECASE,
)
_JOINED = re.compile(r"\W*(?:and|or|&)?\W*(?:\\(?:url|href)\{)?", re.IGNORECASE)
_NO_WORDS = re.compile(r"\W*(?:\\(?:url|href|texttt)\{)*\W*", re.IGNORECASE)
_NO_MORE_WORDS = re.compile(r"\W*(?:\s+https?:\S*)*\W*", re.IGNORECASE)


class _Address(NamedTuple):
    name: str
    start: int
    end: int
    repaired: bool


class _Sentence(NamedTuple):
    before: str
    """What it says before the address."""
    after: str
    """What it says after it, where no other address follows: then that one is spoken of."""
    joined: bool
    """Whether only "and" or the like stands between this address and the one before it."""


def repo_of(url: str) -> str | None:
    """The `owner/name` that one address names, None where it names no repository."""
    visible = _visible(url)
    return next((address.name for address in _addresses(visible)), None) if visible else None


def find_repos(text: str, place: Place, title: str | None = None) -> tuple[Repo, ...]:
    """Every GitHub repository in the text, in order, each once (whatever its letters' case).

    `own` is True where its sentence offers code or the like there, where it stands alone, or
    where it bears the name in `title`; what the work is only built on is never its own. Outside
    abstracts authors list only what is theirs.
    """
    visible = _visible(text)
    if not visible:
        return ()
    found: dict[str, Repo] = {}
    own = False
    for address, sentence in _in_sentences(visible):
        if not sentence.joined:
            own = _is_own(address.name, sentence, place, title or "")
        repo = Repo(address.name, place, own, address.repaired)
        key = address.name.lower()
        found[key] = _together(found[key], repo) if key in found else repo
    return tuple(found.values())


def _visible(text: str) -> str:
    """The text without invisible characters; nothing of one without a GitHub address, as most are.

    Searching for addresses is dear.
    """
    if "/" not in text:
        return ""
    visible = text if text.isascii() else _INVISIBLE.sub("", text)
    return visible if "github" in visible.lower() else ""


def _addresses(text: str) -> Iterator[_Address]:
    for match in _matches(text):
        owner, name = _mend(match["owner"]), _bare(_mend(match["name"]))
        if _is_owner(owner) and 0 < len(name) <= _LONGEST_NAME:
            end = match.start() + len(match[0].rstrip("."))
            repaired = bool(_MENDED.search(match["path"]))
            yield _Address(f"{owner}/{name}", match.start(), end, repaired)


def _matches(text: str) -> Iterator[re.Match[str]]:
    """What `_ADDRESS.finditer` gives, looked for only near a host: four times as fast."""
    position = 0
    while host := _HOST.search(text, position):
        match = _ADDRESS.search(text, max(position, host.start() - _LONGEST_SCHEME))
        if match is None:
            return
        yield match
        position = match.end()


def _mend(part: str) -> str:
    """Hyphens for dashes, nothing for line breaks and LaTeX's backslashes."""
    return re.sub(r"[\s\\]", "", re.sub(rf"[{_DASH}]", "-", part))


def _bare(name: str) -> str:
    """Without a sentence's full stop and without `.git`, neither of which ends a name."""
    bare = name[: 2 * _LONGEST_NAME].rstrip(".")  # enough to see that it is too long
    while bare.lower().endswith(".git"):
        bare = bare[:-4].rstrip(".")
    return bare


def _is_owner(owner: str) -> bool:
    return len(owner) <= _LONGEST_OWNER and owner.lower() not in _RESERVED


def _in_sentences(text: str) -> Iterator[tuple[_Address, _Sentence]]:
    previous_end = 0
    addresses = list(_addresses(text))
    ends = [address.start for address in addresses[1:]] + [len(text)]
    for address, next_start in zip(addresses, ends, strict=False):
        lead = text[max(previous_end, address.start - _REACH) : address.start]
        trail = text[address.end : min(next_start, address.end + _REACH)]
        *earlier, before = _SENTENCE_END.split(lead)
        after, *later = _SENTENCE_END.split(trail, maxsplit=1)
        joined = previous_end > 0 and not earlier and bool(_JOINED.fullmatch(before))
        alone = bool(later) or next_start == len(text)
        yield address, _Sentence(before, after if alone else "", joined)
        previous_end = address.end


def _is_own(name: str, sentence: _Sentence, place: Place, title: str) -> bool:
    """Whether the work offers this repository as its own, rather than merely building on it."""
    before, after, _ = sentence
    if _DEPENDENCY.search(before):
        return False
    stands_alone = _NO_WORDS.fullmatch(before) and _NO_MORE_WORDS.fullmatch(after)
    offered = stands_alone or _OFFER.search(before) or _OFFER.search(after)
    return bool(offered) or place != "abstract" or _bears_the_name(name, title)


def _bears_the_name(repo: str, title: str) -> bool:
    """Whether the repository is called as the work, as words of its title or their initials."""
    name = _letters(repo.partition("/")[2])
    work = _letters(title.partition(":")[0])
    initials = "".join(word[0] for word in re.findall(r"[a-z0-9]+", title.lower()))
    spelled = r"[^a-z0-9]*".join(name)
    words = re.search(rf"(?<![a-z0-9]){spelled}(?![a-z0-9])", title.lower())
    return len(name) > 2 and bool(words or name in initials or (len(work) > 2 and work in name))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _together(first: Repo, second: Repo) -> Repo:
    """One repository found twice: own if once own, spelled as where it needed no mending."""
    spelled = second if first.repaired and not second.repaired else first
    return Repo(spelled.name, first.found_in, first.own or second.own, spelled.repaired)
