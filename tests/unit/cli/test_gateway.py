"""A command beside a newer gateway: what it shows may be less, what it writes back may not."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.chassis.http import Deadlines, Peer, open_session
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.profiles import chosen_profile
from services.contracts.assistants import Assistant
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio

LATER = {"of_a_later_version": 1}
PATH = "/admin/assistants/support"


def assistant(profile: dict[str, Any], retrieval: dict[str, Any] | None = None) -> dict[str, Any]:
    stable = {
        "id": "support/1",
        "assistant": "support",
        "number": 1,
        "created_at": 1,
        "created_by": "k",
        "profile": {"system": "공손하게.", **profile},
        "profile_hash": "0" * 12,
        "retrieval": retrieval,
        "adapter": None,
        "evidence": "waived",
        "prompt_mismatch": False,
        **LATER,
    }
    told = {"id": "support", "description": "", "stable": stable, "updated_at": 1, "version": 1}
    return {**told, **LATER}


async def followed(told: dict[str, Any]) -> Assistant:
    """Read an assistant, as a command does that makes something new of it."""

    async def reply(_: Request) -> JSONResponse:
        return JSONResponse(told)

    app = Starlette(routes=[Route(PATH, reply)])
    async with running(app) as url, open_session() as session:
        peer = Peer("gateway", url, session, "key", Deadlines(read=10.0, total=10.0))
        return await Gateway(peer).to_follow("support")


async def test_what_a_command_does_not_write_back_may_be_unknown_to_it() -> None:
    found = await followed(assistant({}, {"collections": ["handbook"]}))
    assert found.stable.profile.system == "공손하게."


@pytest.mark.parametrize(
    ("profile", "retrieval"),
    [(LATER, None), ({}, {"collections": ["handbook"], **LATER})],
    ids=["prompt", "policy"],
)
async def test_a_prompt_or_policy_with_an_unknown_field_is_not_taken_over(
    profile: dict[str, Any], retrieval: dict[str, Any] | None
) -> None:
    with pytest.raises(CommandError, match="'of_a_later_version', which this command does not"):
        await followed(assistant(profile, retrieval))


async def test_a_profile_version_with_an_unknown_field_is_not_taken_over() -> None:
    async def reply(_: Request) -> JSONResponse:
        return JSONResponse({"profile": {"system": "x", **LATER}})

    app = Starlette(routes=[Route("/admin/profiles/0123456789ab", reply)])
    async with running(app) as url, open_session() as session:
        peer = Peer("gateway", url, session, "key", Deadlines(read=10.0, total=10.0))
        with pytest.raises(CommandError, match="would lose"):
            await chosen_profile(Gateway(peer), "0123456789ab")
