"""Errors: one body shape for every cause, and headers that tell the official client what to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import aiohttp
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field, ValidationError, model_validator
from starlette.exceptions import HTTPException

from services.chassis.errors import (
    ERRORS_BY_STATUS,
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    Unauthenticated,
    Unavailable,
    error_headers,
    error_response,
    invalid_request_from,
)
from services.contracts.errors import ErrorBody
from services.contracts.knowledge import SearchQuery
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio

EVERY_ERROR: list[type[ServiceError]] = [ServiceError, *ERRORS_BY_STATUS.values()]


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_error_renders_the_openai_shape(kind: type[ServiceError]) -> None:
    response = error_response(kind("다시 시도하세요.", param="model"))
    body = ErrorBody.model_validate_json(bytes(response.body))
    assert response.status_code == kind.status
    assert body.error.model_dump() == {
        "message": "다시 시도하세요.",
        "type": kind.kind,
        "param": "model",
        "code": kind.code,
    }


def test_statuses_and_codes_are_not_shared() -> None:
    assert len({kind.status for kind in EVERY_ERROR}) == len(EVERY_ERROR)
    assert len({kind.code for kind in EVERY_ERROR}) == len(EVERY_ERROR)


def test_a_code_given_where_it_is_raised_wins() -> None:
    assert NotFound("No.", code="unknown_model").body.error.code == "unknown_model"
    assert NotFound("No.").body.error.code == "not_found"


def test_a_conflict_stops_the_official_client_from_retrying() -> None:
    assert error_headers(Conflict("No."))["x-should-retry"] == "false"
    assert "x-should-retry" not in error_headers(Unavailable("Wait."))


def test_waiting_is_said_in_whole_seconds() -> None:
    assert error_headers(Overloaded("Wait."))["retry-after"] == "1"
    assert error_headers(Unavailable("Wait."))["retry-after"] == "1"
    assert error_headers(Overloaded("Wait.", retry_after_seconds=2.1))["retry-after"] == "3"
    assert "retry-after" not in error_headers(InvalidRequest("No."))


def test_a_missing_key_names_the_scheme() -> None:
    assert error_headers(Unauthenticated("No."))["www-authenticate"] == "Bearer"


class Order(BaseModel):
    """A body with field names that FastAPI also uses for the parts of a request."""

    query: str
    count: int = 1


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/orders")
    async def orders(order: Order) -> Order:
        return order

    @app.get("/numbers/{number}")
    async def numbers(number: int) -> int:
        return number

    @app.get("/full")
    async def full() -> None:
        raise Overloaded("Come back later.", code="queue_full", retry_after_seconds=7)

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "I am a teapot", headers={"X-Tea": "green"})

    @app.get("/bad-gateway")
    async def bad_gateway() -> None:
        raise HTTPException(599, "odd")

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError("the secret cause")

    return app


async def asked(
    app: FastAPI, session: aiohttp.ClientSession, method: str, path: str, **request: Any
) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    async with running(app) as url, session.request(method, url + path, **request) as reply:
        return reply, (await reply.json())["error"]


async def test_a_service_error_becomes_its_status_and_body(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    reply, error = await asked(app, session, "GET", "/full")
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert reply.headers["content-type"] == "application/json"
    assert error == {
        "message": "Come back later.",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
    }


async def test_a_malformed_field_is_a_400_that_names_it(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    reply, error = await asked(app, session, "POST", "/orders", json={"query": "q", "count": "x"})
    assert (reply.status, error["code"], error["param"]) == (400, "invalid_request", "count")
    assert error["message"].startswith("count: ")
    assert error["message"].endswith(".")


async def test_a_field_named_like_a_part_of_the_request_is_named_too(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    _, error = await asked(app, session, "POST", "/orders", json={"query": 7})
    assert error["param"] == "query"


async def test_a_malformed_path_parameter_is_a_400(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    reply, error = await asked(app, session, "GET", "/numbers/seven")
    assert (reply.status, error["param"]) == (400, "number")


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"query": "a",}'])
async def test_a_body_that_is_no_json_is_a_400(
    app: FastAPI, session: aiohttp.ClientSession, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    reply, error = await asked(app, session, "POST", "/orders", data=body, headers=headers)
    assert (reply.status, error["type"]) == (400, "invalid_request_error")


async def test_broken_json_says_so(app: FastAPI, session: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json"}
    _, error = await asked(app, session, "POST", "/orders", data=b"{'a'}", headers=headers)
    assert error["code"] == "invalid_json"
    assert error["message"].startswith("The body is not valid JSON: ")


async def test_an_unknown_path_is_a_404(app: FastAPI, session: aiohttp.ClientSession) -> None:
    reply, error = await asked(app, session, "GET", "/없는-길")
    assert (reply.status, error["code"]) == (404, "not_found")
    assert "/없는-길" in error["message"]


async def test_a_wrong_method_is_a_405_that_names_the_right_one(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    reply, error = await asked(app, session, "GET", "/orders")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")


async def test_any_other_status_keeps_its_number_and_headers(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    reply, error = await asked(app, session, "GET", "/teapot")
    assert (reply.status, reply.headers["x-tea"]) == (418, "green")
    assert error["message"] == "GET /teapot: I am a teapot."


async def test_an_unlisted_5xx_is_not_the_callers_fault(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    reply, error = await asked(app, session, "GET", "/bad-gateway")
    assert (reply.status, error["type"]) == (599, "server_error")


async def test_a_crash_is_a_500_that_hides_its_cause_and_keeps_the_request_id(
    app: FastAPI, session: aiohttp.ClientSession
) -> None:
    headers = {"X-Request-Id": "req-7"}
    reply, error = await asked(app, session, "GET", "/crash", headers=headers)
    assert (reply.status, error["code"]) == (500, "internal_error")
    assert "secret" not in error["message"]
    assert reply.headers["x-request-id"] == "req-7"


def test_a_validation_outside_of_a_request_names_its_whole_path() -> None:
    with pytest.raises(ValidationError) as caught:
        SearchQuery.model_validate({"query": ""})
    assert invalid_request_from(caught.value).param == "query"


def test_what_a_models_own_check_says_is_passed_on_as_it_says_it() -> None:
    class Steps(BaseModel):
        weights: list[float]

        @model_validator(mode="after")
        def _rise(self) -> Steps:
            raise ValueError("weights rise, such as 5, 25, 50")

    with pytest.raises(ValidationError) as caught:
        Steps.model_validate({"weights": [1.0]})
    assert invalid_request_from(caught.value).message == "Weights rise, such as 5, 25, 50."


class Knobs(BaseModel, extra="forbid"):
    epochs: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    parts: str | list[Knobs] = ""


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ('{"epochs": 0}', "epochs", "Input should be 'auto' or greater than or equal to 1"),
        ('{"parts": 3}', "parts", "Input should be a valid string or a valid array"),
        (
            '{"parts": [{}, {"epochs": -1}]}',
            "parts.1.epochs",
            "Input should be 'auto' or greater than or equal to 1",
        ),
        ('{"parts": [{"steps": 1}]}', "parts.0.steps", "Extra inputs are not permitted"),
    ],
)
def test_what_may_be_of_several_kinds_is_named_by_its_field(
    body: str, param: str, said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Knobs.model_validate_json(body)
    told = invalid_request_from(caught.value, body)
    assert (told.param, told.message) == (param, f"{param}: {said}.")


def test_a_missing_field_is_named_though_the_body_has_none() -> None:
    class Two(BaseModel):
        a: int
        b: int

    with pytest.raises(ValidationError) as caught:
        Two.model_validate_json("{}")
    told = invalid_request_from(caught.value, b"{}")
    assert (told.param, told.message) == ("a", "a: Field required.")
