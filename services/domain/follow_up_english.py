"""Signs that an English question leans on the one before it, and the words that carry a subject."""

from __future__ import annotations

from itertools import pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPENERS = _words("and but or then also plus otherwise instead")
"""A question that begins so continues another."""

OPENING_PAIRS = frozenset({("what", "about"), ("how", "about"), ("how", "come"), ("why", "not")})
"""The same, anywhere in the question: `Interesting. What about the cost?`"""

REFERENCES = _words(
    """
    it its he him his she her hers they them their theirs this these those one ones such another
    other others same similar latter former else neither both
    """
)
"""Words that stand for something said before."""

CLOSERS = _words("there that then too differ different compare compared related")
"""Last words that leave something unsaid: `How does the pen differ?`"""

BEFORE_REFERRING_THAT = _words(
    """
    is was are were does did do can could will would should has have after before about for from
    with without of to in on at by like than
    """
)
"""After these, `that` stands for a thing; after a noun it opens a clause."""

CLAUSE_OPENERS = _words("and if when while because but before after once")
"""What follows may refer to what the same question named: `Who is Ada and why is she famous?`"""

LIGHT_VERBS = _words("happen happens happened came come comes go goes going went made make")
"""Name nothing that a pronoun could stand for."""

IMPERSONAL = _words(
    "take takes took cost costs possible ok okay safe necessary true worth allowed legal"
)
"""`How long does it take to …`: this `it` stands for nothing."""

WITHOUT_SUBJECT = _words(
    """
    a about again all also am an and any are as at be been being but by can could describe did
    do does each ever every explain for from get gets give had has have hello hey hi how i if in
    into is just list long many may me mean might more most much must my need no of often ok
    okay old on only or our please say shall should show so some soon sorry still such tell than
    thank thanks that the then there to too us use used very want was we were what when where
    which who whom whose why will with would yes you your
    """
)
"""Words of asking; what is left says what a question is about."""

FEW = 2
"""With `the` and no name, so few telling words describe a part of something unsaid."""

_NO_SUBJECT = WITHOUT_SUBJECT | REFERENCES
_AROUND = "?!.,;:\"'()“”‘’"
_LONGEST_DEFINITION = 4


def subject_words(text: str) -> list[str]:
    """List the words that say what a question is about, as they were written."""
    bare = (part.strip(_AROUND) for part in text.split())
    return [word for word in bare if word and _plain(word) not in _NO_SUBJECT]


def leans(text: str) -> bool:
    """Tell whether a question cannot be understood without the ones before it."""
    written = [word for part in text.split() if (word := part.strip(_AROUND))]
    words = [_plain(word) for word in written]
    if not words or words[0] in OPENERS or words[-1] in CLOSERS:
        return True
    if any(pair in OPENING_PAIRS for pair in pairwise(words)):
        return True
    return _refers_back(words) or _says_little(words, written)


def _plain(word: str) -> str:
    """Bring a word into the form that the lists have: `It’s` becomes `it`."""
    return word.replace("’", "'").partition("'")[0].casefold()


def _refers_back(words: list[str]) -> bool:
    """Look for a reference to something that this question has not named itself."""
    named = False
    for at, word in enumerate(words):
        rest = words[at + 1 :]
        if named and word in CLAUSE_OPENERS and len(rest) > 1:
            return False
        if word in REFERENCES and not (word == "it" and _is_impersonal(rest)):
            return True
        if word == "that" and at and words[at - 1] in BEFORE_REFERRING_THAT:
            return True
        named = named or not (word in WITHOUT_SUBJECT or word in LIGHT_VERBS)
    return False


def _is_impersonal(rest: list[str]) -> bool:
    begins = any(word in IMPERSONAL for word in rest[:2])
    return begins and any(word in ("to", "for", "that", "if") for word in rest[1:-1])


def _says_little(words: list[str], written: list[str]) -> bool:
    """Look for a question about a part of something: `What are the benefits?`, `How often?`."""
    if any(word[0].isdigit() or word[0].isupper() for word in written[1:] if word != "I"):
        return False
    telling = sum(word not in WITHOUT_SUBJECT for word in words)
    if "the" in words:
        return telling <= FEW
    defines = words[0] in ("what", "who") and len(words) <= _LONGEST_DEFINITION
    return telling == 0 or (telling == 1 and not defines)
