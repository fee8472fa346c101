"""Cases of an evaluation: what is asked, and what an answer must show."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from services.contracts.wire import Wire

Share = Annotated[float, Field(ge=0, le=1)]
"""A score or a share, 0 to 1."""

Texts = Annotated[list[Annotated[str, Field(min_length=1, max_length=8192)]], Field(max_length=64)]
"""Some texts of which one or each counts."""


Tag = Annotated[str, Field(min_length=1, max_length=64)]
"""A name under which figures of some cases are shown together."""

GUARD = "guard"
"""The tag of cases that a candidate must not be worse at."""


class _Check(Wire):
    required: bool = True
    """Whether the case fails with it; one that is not required only gives a score."""


class Exact(_Check):
    """The answer is one of these, letter for letter, but for space around it."""

    kind: Literal["exact"]
    any_of: Texts = Field(default_factory=list)
    """The case's `expected` when empty."""


class Normalised(_Check):
    """The answer is one of these but for case, width, space, punctuation and citations."""

    kind: Literal["normalised"]
    any_of: Texts = Field(default_factory=list)
    """The case's `expected` when empty."""


class Contains(_Check):
    """The answer holds some words, whatever their case."""

    kind: Literal["contains"]
    any_of: Texts = Field(default_factory=list)
    """One of these; the case's `expected` when all three lists are empty."""
    all_of: Texts = Field(default_factory=list)
    none_of: Texts = Field(default_factory=list)


class Regex(_Check):
    """A regular expression is found in the answer."""

    kind: Literal["regex"]
    pattern: Annotated[str, Field(min_length=1, max_length=1024)]


class Label(_Check):
    """The answer names one of the labels, and it is the expected one."""

    kind: Literal["label"]
    labels: Annotated[Texts, Field(min_length=2)]
    expected: str | None = None
    """The case's `expected` when unset."""


class Numeric(_Check):
    """The answer states a number; `3만 5천` and `1,250.5` are read."""

    kind: Literal["numeric"]
    value: float
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """How far it may be off."""


class JsonSchema(_Check):
    """The answer is JSON that a schema takes; a code fence around it is no fault."""

    kind: Literal["json_schema"]
    json_schema: dict[str, Any]
    """Draft 2020-12; references within itself only."""


class RougeL(_Check):
    """The longest common subsequence with the expected answer, as an F measure."""

    kind: Literal["rouge_l"]
    reference: str | None = None
    """The case's `expected` when unset."""
    at_least: Share = 0.5


class Similar(_Check):
    """The cosine of the answer's and the expected answer's embeddings."""

    kind: Literal["similar"]
    reference: str | None = None
    """The case's `expected` when unset."""
    at_least: Share = 0.9


class Cites(_Check):
    """The answer cites one of these documents."""

    kind: Literal["cites"]
    any_of: Annotated[Texts, Field(min_length=1)]


class CitationRecall(_Check):
    """The share of sentences that what they cite supports."""

    kind: Literal["citation_recall"]
    at_least: Share = 0.5


class CitationPrecision(_Check):
    """The share of citations that support their sentence and are needed."""

    kind: Literal["citation_precision"]
    at_least: Share = 0.5


class Grounded(_Check):
    """The share of sentences that the passages which the answer cites support together."""

    kind: Literal["grounded"]
    at_least: Share = 0.5


class Abstains(_Check):
    """The assistant says that the documents do not tell; or, with `wanted: false`, it does not."""

    kind: Literal["abstains"]
    wanted: bool = True


class InLanguage(_Check):
    """The answer is in a language."""

    kind: Literal["language"]
    language: Literal["en", "ko"] | None = None
    """The question's when unset."""


class Length(_Check):
    """The answer is neither too short nor too long."""

    kind: Literal["length"]
    at_least: Annotated[int, Field(ge=0)] = 1
    at_most: Annotated[int | None, Field(ge=0)] = None
    unit: Literal["characters", "words"] = "characters"


class InStyle(_Check):
    """A trained classifier takes the answer for one of a style."""

    kind: Literal["style"]
    style: Annotated[str, Field(min_length=1, max_length=64)]
    """One of the classifier's labels."""
    at_least: Share = 0.5
    """How probable the style must be."""


class ByRubric(_Check):
    """A judge, a language model, holds the answer against a rubric."""

    kind: Literal["judge"]
    rubric: Annotated[str, Field(min_length=1, max_length=4096)]
    """What a good answer does, in plain words; the case's `expected` is shown beside it."""
    at_least: Share = 0.75
    """Of a scale of five steps, from 0 to 1."""


Check = Annotated[
    Exact
    | Normalised
    | Contains
    | Regex
    | Label
    | Numeric
    | JsonSchema
    | RougeL
    | Similar
    | Cites
    | CitationRecall
    | CitationPrecision
    | Grounded
    | Abstains
    | InLanguage
    | Length
    | InStyle
    | ByRubric,
    Field(discriminator="kind"),
]
"""One thing that an answer must show."""

EXPECTING = ("exact", "normalised", "contains", "label", "rouge_l", "similar")
"""Checks that may lean on the case's `expected`."""


class Turn(Wire):
    """One message of a case that is a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1, max_length=32_768)]


class Question(Wire):
    """A question or a conversation, and what an answer to it must show."""

    id: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    question: Annotated[str | None, Field(min_length=1, max_length=32_768)] = None
    messages: Annotated[list[Turn], Field(max_length=64)] = Field(default_factory=list)
    """In place of a question: a conversation that ends with the user's turn."""
    expected: Annotated[str | None, Field(min_length=1, max_length=32_768)] = None
    checks: Annotated[list[Check], Field(max_length=32)] = Field(default_factory=list)
    tags: Annotated[list[Tag], Field(max_length=32)] = Field(default_factory=list)
    """Figures are shown for each; the tag `guard` makes the case one that must not get worse."""
    answerable: bool | None = None
    """Whether the documents hold the answer; unset where it does not matter, or is not known."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if (self.question is None) == (not self.messages):
            raise ValueError("there must be either a `question` or `messages`")
        if self.messages and self.messages[-1].role != "user":
            raise ValueError("the last of `messages` is the user's turn")
        return self

    @property
    def asked(self) -> str:
        """The question, or the last turn of the conversation."""
        return self.question if self.question is not None else self.messages[-1].content

    @property
    def turns(self) -> list[Turn]:
        """What is sent."""
        return self.messages or [Turn(role="user", content=self.asked)]


class EvaluationCase(Question):
    """One case: a question or a conversation, and the checks of its answer.

    Without checks the answer must contain `expected`; `answerable` adds that the assistant must
    answer, or must abstain.
    """

    id: Annotated[str, Field(min_length=1, max_length=128)]

    @model_validator(mode="after")
    def _can_be_judged(self) -> EvaluationCase:
        if not self.checks and self.expected is None and self.answerable is not False:
            raise ValueError("nothing can be checked; give `expected`, `checks` or `answerable`")
        for check in self.checks:
            _has_something_to_compare(check, self.expected)
        return self

    @property
    def guards(self) -> bool:
        """Whether it must not get worse, rather than get better."""
        return GUARD in self.tags


def _has_something_to_compare(check: Any, expected: str | None) -> None:
    given = [
        getattr(check, name, None)
        for name in ("any_of", "all_of", "none_of", "reference", "expected")
    ]
    if check.kind in EXPECTING and expected is None and not any(given):
        raise ValueError(f"the check `{check.kind}` needs the case's `expected`, or its own")
