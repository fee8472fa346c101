"""What the engine is asked: the caller's wishes within the release's caps."""

from __future__ import annotations

from typing import Any

import pytest

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import Profile, Sampling
from services.contracts.chat import ChatRequest
from services.gateway.parameters import EngineParameters, engine_parameters
from services.gateway.resolution import Target
from tests.unit.gateway.registry_parts import release

DIRECT = Target("base", None, None)


def chosen(profile: Profile | None = None, **fields: Any) -> EngineParameters:
    request = ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "q"}], **fields}
    )
    target = DIRECT if profile is None else Target("m", None, release(profile=profile))
    return engine_parameters(request, target)


def test_the_profile_fills_what_the_caller_leaves_open() -> None:
    sampling = Sampling(temperature=0.3, top_p=0.9, max_tokens=99, stop=["\n\n"], seed=7)
    asked = chosen(Profile(sampling=sampling))
    assert asked.body == {"temperature": 0.3, "top_p": 0.9, "stop": ["\n\n"], "seed": 7}
    assert asked.answer == 99


def test_the_callers_sampling_wins() -> None:
    asked = chosen(Profile(), temperature=1.5, top_p=0.5, seed=3, repetition_penalty=1.1)
    assert asked.body["temperature"] == 1.5
    assert asked.body["top_p"] == 0.5
    assert asked.body["seed"] == 3
    assert asked.body["repetition_penalty"] == 1.1


def test_a_temperature_of_zero_is_a_wish() -> None:
    profile = Profile(sampling=Sampling(temperature=0.7))
    assert chosen(profile, temperature=0).body["temperature"] == 0


def test_a_profiles_penalty_is_sent_unless_the_caller_has_one() -> None:
    profile = Profile(sampling=Sampling(repetition_penalty=1.2))
    assert chosen(profile).body["repetition_penalty"] == 1.2
    assert chosen(profile, repetition_penalty=1.0).body["repetition_penalty"] == 1.0


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_profile_caps_the_answers_length(field: str) -> None:
    profile = Profile(sampling=Sampling(max_tokens=50))
    assert chosen(profile, **{field: 20}).answer == 20
    assert chosen(profile, **{field: 500}).answer == 50


def test_a_direct_call_has_no_defaults() -> None:
    asked = chosen()
    assert asked.body == {}
    assert asked.answer is None


def test_stop_strings_are_joined_without_repeats() -> None:
    profile = Profile(sampling=Sampling(stop=["\n\n", "END"]))
    assert chosen(profile, stop="END").body["stop"] == ["\n\n", "END"]
    assert chosen(profile, stop=["끝"]).body["stop"] == ["\n\n", "END", "끝"]


@pytest.mark.parametrize("stop", [[""], ["x"] * 17])
def test_impossible_stop_strings_are_refused(stop: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chosen(stop=stop)
    assert caught.value.param == "stop"


def test_tools_and_logprobs_pass() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = chosen(Profile(), tools=tools, tool_choice="auto", logprobs=True, top_logprobs=2, n=2)
    assert asked.tools == tools
    assert asked.choices == 2
    assert {"tool_choice", "logprobs", "top_logprobs"} <= asked.body.keys()


def test_fields_that_nobody_listed_are_not_sent() -> None:
    hostile: dict[str, Any] = {
        "cache_salt": "mine",
        "priority": -9,
        "chat_template": "x",
        "lora_path": "/etc",
    }
    assert chosen(**hostile).body == {}


@pytest.mark.parametrize("field", ["functions", "function_call", "audio", "prediction"])
def test_a_field_that_cannot_be_ignored_is_refused(field: str) -> None:
    sent: dict[str, Any] = {field: {"any": "thing"}}
    with pytest.raises(InvalidRequest) as caught:
        chosen(**sent)
    assert (caught.value.code, caught.value.param) == ("unsupported_field", field)
    empty: dict[str, Any] = {field: None}
    assert chosen(**empty).body == {}


def test_a_profiles_schema_wins_over_the_callers() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    asked = chosen(Profile(output_schema=schema), response_format={"type": "text"})
    assert asked.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    assert asked.structured


@pytest.mark.parametrize(
    ("form", "structured"), [("text", False), ("json_object", True), ("json_schema", True)]
)
def test_a_callers_response_format_passes(form: str, structured: bool) -> None:
    asked = chosen(Profile(), response_format={"type": form})
    assert asked.body["response_format"] == {"type": form}
    assert asked.structured is structured
    assert not chosen(Profile()).structured
