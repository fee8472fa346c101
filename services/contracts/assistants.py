"""Profiles, retrieval policies, releases: what an assistant is made of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from services.contracts.knowledge import CollectionName, Filter
from services.contracts.wire import Wire

AssistantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""The public name that apps call as `model`."""


class ExampleTurn(Wire):
    """One worked example shown to the model before the conversation."""

    user: str
    assistant: str


class Sampling(Wire):
    """How the engine samples when the caller does not say."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 256
    """The default and the cap for the caller's own `max_tokens`."""
    stop: list[str] = Field(default_factory=list, max_length=16)
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] = 1.0
    seed: int | None = None


class Abstention(Wire):
    """What the assistant says when nothing relevant was found, by the question's language."""

    en: str = "I could not find this in the documents I have."
    ko: str = "제가 가진 문서에서는 답을 찾을 수 없습니다."


PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""What a context template may hold of a passage; every other character stands for itself."""

CONTEXT_FIELDS = ("number", "title", "headings", "uri", "page")
"""Beside `text`, which has a line of its own."""

ContextLabel = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S[^\r\n]*$")]


class ContextTemplate(Wire):
    """How retrieved passages stand before the question.

    The passages follow `passages_label`, each in the shape of `passage`; then comes an empty line
    and the question after `question_label`.
    """

    passages_label: ContextLabel = "Passages:"
    passage: Annotated[str, Field(max_length=1000)] = "[{number}] {title}\n{text}"
    """Opens with `[{number}]`, which answers cite, and has `{text}` on a line of its own.

    Other lines may hold `{title}`, `{headings}`, `{uri}` and `{page}`; one that a passage has
    nothing for is left out.
    """
    question_label: ContextLabel = "Question:"

    @field_validator("passage")
    @classmethod
    def _check(cls, passage: str) -> str:
        first, *others = passage.split("\n")
        if not first.startswith("[{number}]"):
            raise ValueError("A passage opens with `[{number}]`, which answers cite.")
        if others.count("{text}") != 1:
            raise ValueError("`{text}` stands once, on a line of its own, after the first line.")
        rest = [first, *(line for line in others if line != "{text}")]
        if any(not line.strip() for line in rest):
            raise ValueError("A passage has no empty lines; one ends the block of passages.")
        named = {name for line in rest for name in PLACEHOLDER.findall(line)}
        if unknown := sorted(named - set(CONTEXT_FIELDS)):
            raise ValueError(
                f"A passage has no {{{unknown[0]}}}; use number, title, headings, uri, page, text."
            )
        return passage


class Profile(Wire):
    """An immutable version of a prompt."""

    system: str = ""
    few_shot: list[ExampleTurn] = Field(default_factory=list, max_length=32)
    reasoning: Literal["direct", "cot"] = "direct"
    output_schema: dict[str, Any] | None = None
    """A JSON schema that the engine enforces."""
    sampling: Sampling = Sampling()
    context: ContextTemplate = ContextTemplate()
    abstention: Abstention = Abstention()
    caller_system: Literal["append", "refuse"] = "append"
    """What happens to a system or developer message of the caller's."""


ProfileHash = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
"""Names a version of a profile by its content: 12 hex of the sha256 of its canonical JSON."""


class ProfileVersion(Wire):
    """A profile by its content, and which releases are made with it."""

    id: ProfileHash
    object: Literal["profile.version"] = "profile.version"
    created_at: int
    """When the first release with it was made."""
    created_by: str
    """The id of the key that made that release."""
    profile: Profile
    releases: list[str]
    """Every release with it, `<assistant>/<number>`, oldest first."""
    serving: list[str]
    """The assistants that serve it now."""


class ProfileVersionPage(Wire):
    """The tenant's profile versions, newest first."""

    object: Literal["list"] = "list"
    data: list[ProfileVersion]
    has_more: bool


class RetrievalPolicy(Wire):
    """What an assistant may look up, and how."""

    collections: Annotated[list[CollectionName], Field(min_length=1, max_length=32)]
    top_k: Annotated[int, Field(ge=1, le=50)] = 3
    min_score: Annotated[float | None, Field(ge=0, le=1)] = None
    filter: Filter | None = None
    min_answerability: Annotated[float | None, Field(ge=0, le=1)] = None
    """Where it is less probable that a passage answers the question, the assistant abstains."""
    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    expand: Literal["none", "section"] | None = None
    """`section` shows the model what surrounds each passage; the retriever's setting if unset."""
    diversity: Annotated[float | None, Field(ge=0, le=1)] = None
    """How far passages that repeat others step back; the retriever's setting if unset."""
    on_retrieval_failure: Literal["fail", "answer_ungrounded"] = "fail"
    follow_up: Literal["ignore", "join", "rewrite"] = "join"
    """What a question that leans on earlier ones is searched by: its own words, those of the
    questions before it as well, or one that the base writes for it."""


class AssistantWrite(Wire):
    """The body of `PUT /admin/assistants/{name}`: everything that a release bundles."""

    profile: Profile = Profile()
    retrieval: RetrievalPolicy | None = None
    adapter: str | None = None
    """An adapter version, `name@<12 hex>`, or none for the plain base."""
    allow_prompt_mismatch: bool = False
    """Bind although the adapter was trained with another system prompt; recorded in the release."""
    description: Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")] = ""


class Release(Wire):
    """An immutable bundle that an assistant can serve."""

    id: str
    """`<assistant>/<number>`."""
    assistant: AssistantName
    number: int
    created_at: int
    created_by: str
    """The id of the key that created it."""
    profile: Profile
    profile_hash: str
    """12 hex of the sha256 of the profile's canonical JSON."""
    retrieval: RetrievalPolicy | None
    adapter: str | None
    evidence: Literal["evaluated", "waived"]
    """Whether an evaluation stands behind it; a direct binding is `waived`."""
    prompt_mismatch: bool


class Assistant(Wire):
    """An assistant and the release that it serves now."""

    id: AssistantName
    object: Literal["assistant"] = "assistant"
    description: str
    stable: Release
    updated_at: int
    version: int
    """Grows with every change; send it back as `If-Match` to change only what you saw."""


class AssistantPage(Wire):
    """Every assistant of the tenant."""

    object: Literal["list"] = "list"
    data: list[Assistant]
    has_more: bool = False


class ReleasePage(Wire):
    """An assistant's releases, newest first."""

    object: Literal["list"] = "list"
    data: list[Release]
    has_more: bool
