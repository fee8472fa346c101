"""Signs that a Korean question leans on the one before it, and the words that carry a subject.

Particles and endings are glued to their words, so most lists are compared with a word's beginning
or its end.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPENERS = _words(
    "그럼 그럼요 그러면 그리고 그런데 근데 그래서 그렇다면 그래도 또 또는 아니면 반대로 대신"
)
"""A question that begins so, or has one of these for its second word, continues another."""

REFERENCES = _words("그 이 둘 다른 같은 그건 그게 그걸 이건 이게 이걸 그건요 이건요 그게요 이게요")
"""Words that stand for something said before."""

REFERENCE_STEMS = tuple(
    _words(
        """
        그거 그것 거기 그곳 그때 그중 그분 그쪽 그런 그렇게 그만큼 그럴 그녀 그들 나머지
        이거 이것 여기 이곳 이때 이런 이렇게 저거 저것
        """
    )
)
"""The same with any particle: `거기에서`, `그때부터`."""

FRAGMENT_ENDINGS = ("면", "면요", "고요", "서요")
"""A question that ends so has no main clause: `취소하면요?`"""

TOPIC_ENDINGS = ("은", "는")
"""A question that ends so names a topic and asks nothing of it: `가격은?`"""

VERB_SYLLABLES = frozenset("나까아어해세가데네군래게예에죠려와워봐돼되져여러거")
"""Before a final `요` these end a verb; anything else is a fragment: `주말요?`, `제주는요?`"""

WITHOUT_SUBJECT = _words(
    """
    수 때 것 거 건 게 개 명 번 원 살 도 일 분 좀 더 할 하는 하나 하나요 돼 돼요 왜 왜요 왜죠 혹시
    네 예 아 아니요 자주 가장 제일 바로 혹은 따로 그냥 보통 및
    """
)
"""Words of asking; what is left says what a question is about."""

WITHOUT_SUBJECT_STEMS = tuple(
    _words(
        """
        얼마 언제 어디 누가 누구 무엇 무슨 뭐 뭘 어떻게 어떤 어느 어때 몇 며칠 건가 거예
        있나 있어 있습 있을 없나 없어 되나 되어 됩니 될까 될지 인가 해요 합니 하면 해야
        안녕 감사 고마 알려 말해 설명해 주세 주시 싶 걸려 걸리 걸립 가능 필요 오래 정도
        대해 예요 이에요
        """
    )
)
"""The same with any ending."""

FEW = 1
"""A question of so few telling words leaves its subject out, as Korean does: `며칠 걸려요?`"""

FEW_OF_A_TOPIC = 2
"""A bare topic of more words names its subject: `서울 매장 영업 시간은?`"""

FEW_OF_A_FRAGMENT = 3
"""A spoken fragment takes more of them: `세 권 세트는요?`"""

_AROUND = "?!.,;:\"'()~…“”‘’"


def subject_words(text: str) -> list[str]:
    """List the words that say what a question is about, as they were written."""
    return [word for word in _split(text) if _tells(word) and not _refers_back(word)]


def leans(text: str) -> bool:
    """Tell whether a question cannot be understood without the ones before it."""
    words = _split(text)
    if not words or not OPENERS.isdisjoint(words[:2]) or any(map(_refers_back, words)):
        return True
    if words[-1].endswith(FRAGMENT_ENDINGS):
        return True
    return sum(map(_tells, words)) <= _few(words[-1])


def _few(last: str) -> int:
    """Say how many telling words are too few, by how the question ends."""
    if not _tells(last):
        return FEW
    if len(last) > 1 and last[-1] == "요" and last[-2] not in VERB_SYLLABLES:
        return FEW_OF_A_FRAGMENT
    return FEW_OF_A_TOPIC if last.endswith(TOPIC_ENDINGS) else FEW


def _split(text: str) -> list[str]:
    return [word for part in text.split() if (word := part.strip(_AROUND))]


def _refers_back(word: str) -> bool:
    return word in REFERENCES or word.startswith(REFERENCE_STEMS)


def _tells(word: str) -> bool:
    return word not in WITHOUT_SUBJECT and not word.startswith(WITHOUT_SUBJECT_STEMS)
