"""A hosted model that takes other fields than most."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.chassis.errors import InvalidRequest
from services.chassis.http import Peer, open_session
from services.cli.failures import CommandError
from services.cli.ladder.hosted import HostedModel, target_of
from services.contracts.assistants import Profile
from services.contracts.evaluation_cases import EvaluationCase
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio

CASE = EvaluationCase(id="c", question="환불은?", expected="14일")
PROFILE = Profile.model_validate(
    {"system": "짧게.", "reasoning": "cot", "output_schema": {"type": "object"}}
)


def hosted(refused: set[str], asked: list[dict[str, Any]]) -> Starlette:
    """An app that refuses some fields by name, one after the other, as OpenAI's newer models do."""

    async def complete(request: Request) -> Response:
        body = await request.json()
        asked.append(body)
        if wrong := sorted(refused & body.keys()):
            error = {"message": "Unsupported parameter.", "param": wrong[0], "code": "unsupported"}
            return JSONResponse({"error": error}, 400)
        answer = {"role": "assistant", "content": "Steps. Final answer: 14일"}
        usage = {"prompt_tokens": 9, "completion_tokens": 4}
        return JSONResponse({"choices": [{"index": 0, "message": answer}], "usage": usage})

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


async def test_fields_that_a_model_refuses_are_replaced_once_and_for_all() -> None:
    asked: list[dict[str, Any]] = []
    app = hosted({"max_tokens", "temperature"}, asked)
    async with running(app) as url, open_session() as session:
        model = HostedModel(Peer("target", f"{url}/v1", session, "key"), "m", PROFILE)
        reply = await model.reply(CASE)
        assert reply.body["choices"][0]["message"]["content"] == "14일"
        assert (len(asked), asked[-1]["max_completion_tokens"]) == (3, 256)
        assert asked[-1]["response_format"]["json_schema"]["schema"] == {"type": "object"}
        assert [turn["role"] for turn in asked[-1]["messages"]] == ["system", "user"]
        await model.reply(CASE)
        assert len(asked) == 4


async def test_a_field_that_there_is_no_other_for_is_refused_as_the_model_says() -> None:
    asked: list[dict[str, Any]] = []
    async with running(hosted({"response_format"}, asked)) as url, open_session() as session:
        model = HostedModel(Peer("target", f"{url}/v1", session, "key"), "m", PROFILE)
        with pytest.raises(InvalidRequest, match="Unsupported parameter"):
            await model.reply(CASE)


@pytest.mark.parametrize("text", ["gpt", "ftp://h/v1,m", "https://h/v1,", "https://u:p@h/v1,m"])
def test_what_names_no_target_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"--target"):
        target_of(text)
