"""Judging answers on the command line: rules, the gateway's embeddings, a judge by its URL."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.chassis.completions import Endpoint, EndpointRefused, endpoint_url
from services.chassis.http import Peer, open_session
from services.cli.entailment import open_entailment
from services.cli.failures import CommandError
from services.cli.patience import PATIENCE_SECONDS, patiently
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import Judges
from services.contracts.styles import StyleModel
from services.domain.evaluation.answers import Answer, Judgement, Vector
from services.domain.evaluation.judging import (
    Instruments,
    judge,
    lacking,
    questions_to_judge,
    texts_to_embed,
)
from services.domain.evaluation.rubrics import VERSION, Opinion, Side, read_opinion, read_side
from services.domain.evaluation.styles import style_hash
from services.domain.evaluation.support import Entails
from services.domain.rendering import Message
from services.domain.support import held_in

KEY_VARIABLE = "INKSTONE_JUDGE_KEY"
"""Where the judge's key is looked for unless another variable is named."""

REFUSALS_IN_A_ROW = 5
"""So many refused requests without one answer are no matter of what was asked."""

ENTAILING = {"citation_recall", "citation_precision", "grounded"}
"""Checks that ask whether a text entails a claim."""

VERDICT_TOKENS = 512
"""How long a verdict may be, a short reason included."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A language model that judges."""

    endpoint: Endpoint
    model: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each request; None leaves one out."""
    refused: list[str] = field(default_factory=list)
    """What it said of the requests that it refused since it last answered."""

    async def opinion(self, messages: Sequence[Message]) -> Opinion:
        """Ask for a score."""
        return read_opinion(await self._said(messages))

    async def side(self, messages: Sequence[Message]) -> Side | None:
        """Ask which of two is better."""
        return read_side(await self._said(messages))

    async def _said(self, messages: Sequence[Message]) -> str:
        body = {
            "model": self.model,
            "messages": list(messages),
            "temperature": 0.0,
            "max_completion_tokens": VERDICT_TOKENS,
            **self.extra,
        }
        try:
            sent = {name: value for name, value in body.items() if value is not None}
            said = (await self.endpoint.complete(sent)).text
        except EndpointRefused as error:
            self.refused.append(error.message)
            if len(self.refused) >= REFUSALS_IN_A_ROW:
                raise CommandError(
                    f"{error.message} So were the {len(self.refused) - 1} before it; change the "
                    "request with --judge-extra, where null leaves a field out."
                ) from error
            # Another case may be judged; this one counts as not.
            return error.message
        self.refused.clear()
        return said


@dataclass(slots=True)
class Judging:
    """What judges the answers of a command."""

    peer: Peer | None = None
    """The gateway, whose embedding model compares meanings."""
    judge: Judge | None = None
    styles: StyleModel | None = None
    entails: Entails = held_in
    entailment: str | None = None
    """The name of the model behind `entails`."""
    patience_seconds: float = PATIENCE_SECONDS
    _embedding_model: str | None = None
    _vectors: dict[str, Vector] = field(default_factory=dict)

    @property
    def names(self) -> Judges:
        """What a report says of it."""
        return Judges(
            judge=f"{self.judge.model} ({VERSION})" if self.judge else None,
            judge_url=self.judge.endpoint.base_url if self.judge else None,
            styles=style_hash(self.styles) if self.styles else None,
            entailment=self.entailment,
        )

    def names_in(self, cases: Sequence[EvaluationCase]) -> Judges:
        """What of it the checks of some cases use: other answers need not be asked again."""
        kinds, names = {check.kind for case in cases for check in case.checks}, self.names
        return Judges(
            judge=names.judge if "judge" in kinds else None,
            judge_url=names.judge_url if "judge" in kinds else None,
            styles=names.styles if "style" in kinds else None,
            entailment=names.entailment if kinds & ENTAILING else None,
        )

    def check(self, cases: Sequence[EvaluationCase]) -> None:
        """Make sure that everything is there that these cases need.

        Raises:
            CommandError: something is not; the text says how to name it.
        """
        if missing := lacking(cases, judged=self.judge is not None, model=self.styles):
            raise CommandError(
                f"{missing[0].upper()}{missing[1:]}; add --judge URL --judge-model NAME, or "
                "--style FILE of `inkstone eval style train`."
            )

    async def judged(self, case: EvaluationCase, answer: Answer) -> Judgement:
        """Judge one answer by every check of its case."""
        texts = texts_to_embed(case, answer)
        instruments = Instruments(
            vectors=await self._embedded(texts) if texts else {},
            opinions=await self._opinions(case, answer),
            styles=self.styles,
            entails=self.entails,
        )
        if self.entails is held_in:
            return judge(case, answer, instruments)
        # A model reads every sentence, and further answers are asked for meanwhile.
        return await asyncio.to_thread(judge, case, answer, instruments)

    async def _opinions(self, case: EvaluationCase, answer: Answer) -> dict[str, Opinion]:
        if self.judge is None:
            return {}
        asked = questions_to_judge(case, answer)
        return {key: await self.judge.opinion(messages) for key, messages in asked.items()}

    async def _embedded(self, texts: Sequence[str]) -> Mapping[str, Vector]:
        if missing := [text for text in texts if text not in self._vectors]:
            body = {"model": await self._model(), "input": missing}
            reply = await patiently(
                self._gateway(), "/v1/embeddings", body, seconds=self.patience_seconds
            )
            found = sorted(reply.body["data"], key=lambda one: int(one["index"]))
            self._vectors |= {
                text: one["embedding"] for text, one in zip(missing, found, strict=True)
            }
        return self._vectors

    async def _model(self) -> str:
        if self._embedding_model is None:
            models = (await self._gateway().json("GET", "/v1/models"))["data"]
            named = [one["id"] for one in models if one.get("kind") == "embedding"]
            if not named:
                raise CommandError(
                    "A check compares by meaning, and the gateway lists no embedding model now; "
                    "start the retriever and run the command again."
                )
            self._embedding_model = named[0]
        return self._embedding_model

    def _gateway(self) -> Peer:
        if self.peer is None:
            raise CommandError(
                "A check compares by meaning, which takes the gateway's embedding model; name an "
                "--assistant of a running gateway, or leave the check `similar` out."
            )
        return self.peer


@dataclass(frozen=True, slots=True)
class JudgingOptions:
    """What the command line names for judging."""

    url: str | None = None
    model: str | None = None
    key_env: str | None = None
    extra: str = "{}"
    style: Path | None = None
    entailment: str | None = None
    concurrent: int = 4


@asynccontextmanager
async def open_judging(options: JudgingOptions, peer: Peer | None = None) -> AsyncIterator[Judging]:
    """Open what is named.

    Raises:
        CommandError: it cannot be used.
    """
    if (options.url is None) is not (options.model is None):
        raise CommandError("A judge has a URL and a model; give both --judge and --judge-model.")
    async with open_session(connections=options.concurrent + 4) as session:
        found = None
        if options.url is not None and options.model is not None:
            key = key_from(options.key_env, KEY_VARIABLE)
            endpoint = Endpoint("judge", endpoint_url(options.url), session, key)
            found = Judge(endpoint, options.model, json_object(options.extra, "--judge-extra"))
        yield Judging(
            peer,
            found,
            styles=read_styles(options.style) if options.style else None,
            entails=open_entailment(options.entailment) if options.entailment else held_in,
            entailment=options.entailment,
        )


def read_styles(file: Path) -> StyleModel:
    """Read a classifier from its file.

    Raises:
        CommandError: it is none.
    """
    try:
        return StyleModel.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise CommandError(
            f"{file} is no style classifier; make one with `inkstone eval style train`."
        ) from error


def json_object(text: str, option: str) -> dict[str, Any]:
    """Read the further fields of requests from an option.

    Raises:
        CommandError: they are none.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option} is no JSON: {error}.") from error
    if not isinstance(found, dict) or found.keys() & {"model", "messages", "stream", "n"}:
        raise CommandError(
            f"{option} is a JSON object without model, messages, stream and n, such as "
            "'{\"top_p\": 0.9}'."
        )
    return found


def key_from(named: str | None, usual: str) -> str | None:
    """Read an endpoint's key from the environment variable that a flag names, or the usual one.

    Raises:
        CommandError: the flag names a variable that is not set, or its value is no key.
    """
    variable = named or usual
    found = os.environ.get(variable, "").strip()
    if named is not None and not found:
        raise CommandError(
            f"The environment variable {named} is not set; export it with the key, which no "
            "argument takes."
        )
    if not found.isprintable() or not found.isascii():
        raise CommandError(f"{variable} holds characters that no key has; set it anew.")
    return found or None
