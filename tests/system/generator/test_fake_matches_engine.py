"""One table of cases, run against the real engine and against the fake that stands in for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE
from tests.system.generator.subject import PROMPT, Subject, text_of, until

pytestmark = pytest.mark.anyio

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
LONG = [{"role": "user", "content": PROMPT}]


async def test_it_lives_and_says_its_version(subject: Subject) -> None:
    health = await subject.call("GET", "/health", key=None)
    assert (health.status, health.text) == (200, "")
    version = await subject.call("GET", "/version")
    assert version.body == {"version": "0.32.0"}


async def test_models_name_the_base_and_each_adapter_with_its_path(
    subject: Subject, tmp_path: Path
) -> None:
    folder = subject.make_adapter(tmp_path / "a", "alpha", 0)
    await subject.load("formal@0123456789ab", folder)
    listed = (await subject.call("GET", "/v1/models")).body
    assert listed["object"] == "list"
    base, adapter = listed["data"]
    assert (base["id"], base["parent"], base["max_model_len"]) == ("base", None, 1024)
    assert adapter["id"] == "formal@0123456789ab"
    assert (adapter["root"], adapter["parent"]) == (str(folder), "base")
    assert adapter["max_model_len"] is None


async def test_a_load_is_answered_by_bare_text(subject: Subject, tmp_path: Path) -> None:
    folder = subject.make_adapter(tmp_path / "a", "alpha", 0)
    answer = await subject.load("a", folder)
    assert (answer.status, answer.content_type) == (200, None)
    assert answer.text == "Success: LoRA adapter 'a' added successfully."
    answer = await subject.unload("a")
    assert (answer.status, answer.content_type) == (200, None)
    assert answer.text == "Success: LoRA adapter 'a' removed successfully."


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "param"),
    [
        (LOAD, {"lora_name": "", "lora_path": "x"}, 400, "InvalidUserInput", None),
        (LOAD, {"lora_name": "x", "lora_path": ""}, 400, "InvalidUserInput", None),
        (LOAD, {"lora_name": "base", "lora_path": "x"}, 400, "InvalidUserInput", None),
        (LOAD, {"lora_name": "x"}, 400, "Bad Request", "body.lora_path"),
        (LOAD, {"lora_path": "x"}, 400, "Bad Request", "body.lora_name"),
        (LOAD, {"lora_name": "x", "lora_path": "/no/such/folder"}, 404, "NotFoundError", None),
        (UNLOAD, {"lora_name": ""}, 400, "InvalidUserInput", None),
        (UNLOAD, {"lora_name": "never-loaded"}, 404, "NotFoundError", None),
        (UNLOAD, {"lora_name": "base"}, 404, "NotFoundError", None),
        (UNLOAD, {}, 400, "Bad Request", "body.lora_name"),
    ],
)
async def test_a_command_that_cannot_be_is_refused(
    subject: Subject, path: str, body: Any, status: int, kind: str, param: str | None
) -> None:
    answer = await subject.call("POST", path, body)
    assert answer.status == status
    assert (answer.error["type"], answer.error["param"]) == (kind, param)
    assert answer.error["code"] == status
    assert answer.error["message"]


@pytest.mark.parametrize("path", [LOAD, UNLOAD, "/v1/chat/completions", "/v1/completions"])
async def test_a_body_that_does_not_parse_is_a_400(subject: Subject, path: str) -> None:
    broken = await subject.call("POST", path, raw="{broken")
    assert (broken.status, broken.error["type"]) == (400, "Bad Request")
    assert broken.error["param"].startswith("body.")
    other = await subject.call("POST", path, raw="{}", headers={"Content-Type": "text/plain"})
    assert (other.status, other.error["type"]) == (400, "Bad Request")


async def test_a_name_that_is_taken_is_a_400(subject: Subject, tmp_path: Path) -> None:
    folder = subject.make_adapter(tmp_path / "a", "alpha", 0)
    assert (await subject.load("a", folder)).status == 200
    again = await subject.load("a", folder)
    assert (again.status, again.error["type"]) == (400, "InvalidUserInput")


def change(folder: Path, **fields: Any) -> None:
    path = folder / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: change(folder, use_dora=True), id="dora"),
        pytest.param(lambda folder: change(folder, modules_to_save=["lm_head"]), id="modules"),
        pytest.param(lambda folder: change(folder, bias="all"), id="bias"),
        pytest.param(lambda folder: (folder / CONFIG_FILE).write_text("{broken"), id="config"),
        pytest.param(lambda folder: (folder / WEIGHTS_FILE).unlink(), id="no-weights"),
        pytest.param(lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"x" * 64), id="garbage"),
    ],
)
async def test_an_adapter_that_cannot_be_used_is_a_500_that_stays(
    subject: Subject, tmp_path: Path, spoil: Any
) -> None:
    folder = subject.make_adapter(tmp_path / "a", "alpha", 0)
    spoil(folder)
    for _ in range(2):
        answer = await subject.load("spoilt", folder)
        assert (answer.status, answer.error["type"]) == (500, "InternalServerError")
    assert [m["id"] for m in (await subject.call("GET", "/v1/models")).body["data"]] == ["base"]
    assert (await subject.chat()).status == 200


async def test_an_answer_echoes_the_request_s_model_and_id(subject: Subject) -> None:
    body = subject.question()
    answer = await subject.call(
        "POST", "/v1/chat/completions", body, headers={"X-Request-Id": "my-id"}
    )
    reply = answer.body
    assert (reply["id"], reply["object"]) == ("chatcmpl-my-id", "chat.completion")
    assert reply["model"] == "base"
    (choice,) = reply["choices"]
    assert choice["message"]["role"] == "assistant"
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", None)
    usage = reply["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + 4
    assert "cached_tokens" in usage["prompt_tokens_details"]


async def test_a_stream_names_the_role_first_and_the_usage_last(subject: Subject) -> None:
    async with subject.stream() as stream:
        assert stream.status == 200
        *chunks, usage, done = await stream.all_events()
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    # Tokens made while the server was busy come together in one chunk.
    made = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert (made[0], made[-1]) == (0, 4)
    assert made == sorted(set(made))
    *earlier, last = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert (set(earlier), last) == ({None}, "length")
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 4
    assert len({event["id"] for event in [*chunks, usage]}) == 1


async def test_a_stream_and_a_whole_answer_say_the_same(subject: Subject, tmp_path: Path) -> None:
    await subject.load("a", subject.make_adapter(tmp_path / "a", "alpha", 0))
    for model in ("base", "a"):
        async with subject.stream(model) as stream:
            streamed = text_of(await stream.all_events())
        assert streamed == await subject.text(model)


async def test_each_adapter_answers_in_its_own_way(subject: Subject, tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        await subject.load(name, subject.make_adapter(tmp_path / name, name, 0))
    assert "[alpha]" in await subject.text("alpha")
    assert "[beta]" in await subject.text("beta")
    base = await subject.text("base")
    assert "[alpha]" not in base
    assert "[beta]" not in base


async def test_the_base_beside_adapters_stays_the_base(subject: Subject, tmp_path: Path) -> None:
    """Without the mending of the CPU engine it answers as the adapter in the last slot."""
    alone = await subject.text(max_tokens=8)
    for name in ("alpha", "beta", "gamma"):
        await subject.load(name, subject.make_adapter(tmp_path / name, name, 0))
        async with subject.stream(name, max_tokens=900, ignore_eos=True) as stream:
            await stream.first_token()
            beside = await asyncio.gather(*(subject.text(max_tokens=8) for _ in range(3)))
            assert beside == [alone] * 3
            stream.leave()


async def test_adapters_in_one_batch_do_not_mix(subject: Subject, tmp_path: Path) -> None:
    for name in ("alpha", "beta", "gamma"):
        await subject.load(name, subject.make_adapter(tmp_path / name, name, 0))
    order = ["alpha", "beta", "base", "gamma", "alpha", "base"] * 4

    async def ask(name: str) -> None:
        while (answer := await subject.chat(name, max_tokens=6)).status == 503:
            await asyncio.sleep(0.02)
        text = answer.body["choices"][0]["message"]["content"]
        others = {"alpha", "beta", "gamma"} - {name}
        assert not [other for other in others if f"[{other}]" in text]
        assert name == "base" or f"[{name}]" in text

    await asyncio.gather(*(ask(name) for name in order))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("change", "status", "kind", "param"),
    [
        ({"model": "nobody"}, 404, "NotFoundError", "model"),
        ({"messages": []}, 400, "BadRequestError", None),
        ({"temperature": -1}, 400, "BadRequestError", "temperature"),
        ({"max_tokens": 0}, 400, "BadRequestError", "max_tokens"),
        ({"max_tokens": 99999}, 400, "BadRequestError", "max_tokens"),
        (
            {"messages": [{"role": "user", "content": "x " * 3000}]},
            400,
            "BadRequestError",
            "input_tokens",
        ),
        ({"n": 2}, 400, "BadRequestError", None),
        ({"cache_salt": ""}, 400, "BadRequestError", "cache_salt"),
        ({"cache_salt": "default:formal@0123456789ab"}, 400, "BadRequestError", "cache_salt"),
        ({"cache_salt": "x" * 129}, 400, "BadRequestError", "cache_salt"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
            400,
            "BadRequestError",
            None,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
                        ],
                    }
                ]
            },
            400,
            "BadRequestError",
            None,
        ),
    ],
)
async def test_a_request_that_cannot_be_is_refused_with_its_status_streamed_or_not(
    subject: Subject, change: Any, status: int, kind: str, param: str | None, streamed: bool
) -> None:
    answer = await subject.chat(**change, stream=streamed)
    assert answer.status == status, answer.text[:300]
    assert (answer.error["type"], answer.error["code"]) == (kind, status)
    assert answer.error["param"] == param


async def test_a_limit_beyond_the_rest_of_the_context_is_cut(subject: Subject) -> None:
    answer = await subject.chat(max_tokens=1023, ignore_eos=True)
    usage = answer.body["usage"]
    assert usage["total_tokens"] == 1024
    assert usage["completion_tokens"] == 1024 - usage["prompt_tokens"]


async def test_a_request_without_messages_is_refused(subject: Subject) -> None:
    answer = await subject.call("POST", "/v1/chat/completions", {"model": "base"})
    assert (answer.status, answer.error["param"]) == (400, "body.messages")


async def test_a_stop_string_ends_the_answer_and_is_named(subject: Subject, tmp_path: Path) -> None:
    await subject.load("a", subject.make_adapter(tmp_path / "a", "alpha", 0))
    answer = await subject.chat("a", stop=["pha]"], max_tokens=9)
    (choice,) = answer.body["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "pha]")
    assert choice["message"]["content"].endswith("[al")
    assert answer.body["usage"]["completion_tokens"] == 1


async def test_log_probabilities_of_the_answer_name_its_rivals(subject: Subject) -> None:
    answer = await subject.chat(logprobs=True, top_logprobs=3, max_tokens=1)
    (place,) = answer.body["choices"][0]["logprobs"]["content"]
    assert len(place["top_logprobs"]) == 3
    assert place["logprob"] <= 0
    assert {"token", "logprob", "bytes"} <= place["top_logprobs"][0].keys()


async def test_new_weights_under_an_old_name_and_path_are_mixed_with_old_ones(
    subject: Subject, tmp_path: Path
) -> None:
    """Danger 3: the prefix cache knows a name and a path, not their content."""
    folder = tmp_path / "same"
    subject.make_adapter(folder, "alpha", 0)
    await subject.load("same", folder)
    assert "[alpha]" in await subject.text("same", messages=LONG)
    await subject.unload("same")
    subject.make_adapter(folder, "beta", 1)
    await subject.load("same", folder)
    stale = await subject.text("same", messages=LONG)
    assert "[alpha]" not in stale
    assert "[beta]" not in stale


@pytest.mark.parametrize("cure", ["path", "salt"])
async def test_a_new_path_or_a_new_salt_keeps_weights_apart(
    subject: Subject, tmp_path: Path, cure: str
) -> None:
    first, second = tmp_path / "first", tmp_path / ("second" if cure == "path" else "first")
    await subject.load("same", subject.make_adapter(first, "alpha", 0))
    assert "[alpha]" in await subject.text("same", messages=LONG)
    await subject.unload("same")
    await subject.load("same", subject.make_adapter(second, "beta", 1))
    salt = {"cache_salt": "second"} if cure == "salt" else {}
    assert "[beta]" in await subject.text("same", messages=LONG, **salt)


async def test_a_third_adapter_waits_for_a_slot_and_the_base_does_not(
    subject: Subject, tmp_path: Path
) -> None:
    """Danger 6: at most `max_loras` distinct adapters are in one batch."""
    for name in ("alpha", "beta", "gamma"):
        await subject.load(name, subject.make_adapter(tmp_path / name, name, 0))
    long: dict[str, Any] = {"max_tokens": 600, "ignore_eos": True}
    async with subject.stream("alpha", **long) as one, subject.stream("beta", **long) as two:
        await one.first_token()
        await two.first_token()
        async with subject.stream("gamma", max_tokens=2) as third:
            await until(lambda: _waits(subject), "the third adapter waits")
            assert (await subject.chat("base")).status == 200
            assert await subject.waiting_requests() == 1
            one.leave()
            assert "[gamma]" in await third.first_token()


async def _waits(subject: Subject) -> bool:
    return await subject.waiting_requests() == 1


async def test_a_full_engine_is_a_503(subject: Subject) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            stream = await stack.enter_async_context(
                subject.stream(max_tokens=900, ignore_eos=True)
            )
            stack.callback(stream.leave)
        await until(lambda: _is_full(subject), "the engine is full")
        for streamed in (False, True):
            refused = await subject.chat(stream=streamed)
            assert (refused.status, refused.error["code"]) == (503, 503)
            assert refused.error["type"] == "Service Unavailable"
    await until(lambda: _is_idle(subject), "the engine is idle again")
    assert (await subject.chat()).status == 200


async def test_a_burst_of_streams_is_refused_by_an_event_inside_a_200(subject: Subject) -> None:
    """Danger 7: the queue is checked again after the status line was sent."""

    async def outcome() -> str:
        async with subject.stream(max_tokens=50) as stream:
            if stream.status != 200:
                return str(stream.status)
            first, *rest = await stream.all_events()
            if "error" not in first:
                return "answered"
            assert rest == ["[DONE]"]
            return f"event {first['error']['code']}"

    outcomes = Counter(await asyncio.gather(*(outcome() for _ in range(60))))
    assert outcomes.keys() <= {"answered", "503", "event 503"}
    assert outcomes["answered"] >= 4
    assert outcomes["event 503"] >= 1


async def _is_full(subject: Subject) -> bool:
    return await subject.running_requests() == 4 and await subject.waiting_requests() == 2


async def _is_idle(subject: Subject) -> bool:
    return await subject.running_requests() == 0


async def test_a_client_that_goes_away_frees_its_place_at_once(subject: Subject) -> None:
    async with subject.stream(max_tokens=900, ignore_eos=True) as stream:
        await stream.first_token()
        assert await subject.running_requests() == 1
        stream.leave()
        await until(lambda: _is_idle(subject), "the engine is idle")


async def test_a_running_answer_outlives_the_unload_of_its_adapter(
    subject: Subject, tmp_path: Path
) -> None:
    await subject.load("a", subject.make_adapter(tmp_path / "a", "alpha", 0))
    async with subject.stream("a", max_tokens=100) as stream:
        assert "[alpha]" in await stream.first_token()
        assert (await subject.unload("a")).status == 200
        rest = text_of(await stream.all_events())
    assert "[alpha]" in rest
    assert "[base]" not in rest
    assert (await subject.chat("a")).status == 404


async def test_more_adapters_than_fit_in_memory_all_answer(
    subject: Subject, tmp_path: Path
) -> None:
    names = ["alpha", "beta", "gamma", "delta", "epsilon"]
    for name in names:
        await subject.load(name, subject.make_adapter(tmp_path / name, name, 0))
    for name in [*names, *names]:
        assert f"[{name}]" in await subject.text(name)


CLOSED = [
    ("POST", "/adapters"),
    ("DELETE", "/adapters/a"),
    ("POST", "/invocations"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/tokenize"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/messages"),
    ("OPTIONS", "/v1/models"),
    ("GET", "//v1/models"),
    ("GET", "/v1/models/"),
    ("GET", "/v1/../v1/models"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize("key", [None, ""])
async def test_the_guard_closes_what_the_engine_leaves_open(
    subject: Subject, tmp_path: Path, method: str, path: str, key: str | None
) -> None:
    folder = subject.make_adapter(tmp_path / "a", "alpha", 0)
    body = {"name": "intruder", "src": str(folder), "model": "base", "prompt": "x"}
    if path == "/v1/../v1/models":
        answer = await raw_call(subject, method, path)
        assert answer.startswith("HTTP/1.1 404")
    else:
        answered = await subject.call(method, path, body if method == "POST" else None, key=key)
        assert answered.status == 404
        assert answered.error["code"] == "route_closed"
    listed = (await subject.call("GET", "/v1/models")).body["data"]
    assert [model["id"] for model in listed] == ["base"]


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/version"])
async def test_the_guard_asks_for_the_key(subject: Subject, path: str) -> None:
    for key in (None, "wrong"):
        assert (await subject.call("GET", path, key=key)).status == 401
    assert (await subject.call("GET", path)).status == 200


async def raw_call(subject: Subject, method: str, path: str) -> str:
    """Send a path as it stands, which no HTTP client would do."""
    host, _, port = subject.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = (
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {subject.api_key}",
    )
    writer.write(("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode())
    await writer.drain()
    reply = (await reader.read()).decode()
    writer.close()
    return reply
