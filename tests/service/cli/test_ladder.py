"""`inkstone ladder run` against a real gateway, an engine that is better on some rungs, a tuner."""

from __future__ import annotations

import asyncio
import fcntl
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import ServiceError
from services.chassis.http import Peer, open_session
from services.cli.failures import CommandError
from services.cli.main import app
from services.tuner.gateway import JobQueue
from tests.fakes.agent import eventually
from tests.fakes.engine_generation import Call
from tests.fakes.retriever import passage
from tests.fakes.tuner import FakeTuner
from tests.service.gateway.chat_stack import ENGINE_KEY, ChatStack, chat_stack

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 180.0
"""For a process that starts on a busy machine."""

LABELS = ["긍정", "부정"]
SYSTEM = "영화평이 긍정인지 부정인지 답하세요."


def case(number: int) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "question": f"영화평 {number}번: 볼 만했다",
        "checks": [{"kind": "label", "labels": LABELS, "expected": LABELS[number % 2]}],
    }


def row(number: int, system: str = "") -> dict[str, Any]:
    answer = {"role": "assistant", "content": LABELS[number % 2]}
    before = [{"role": "system", "content": system}] if system else []
    # Rows that are told apart by more than a number are no copies of one another.
    word = "".join(chr(0xAC00 + (number * 7919 + place * 104729) % 11172) for place in range(12))
    return {"messages": [*before, {"role": "user", "content": f"{word} 글"}, answer]}


def leaked(number: int) -> dict[str, Any]:
    """A row that asks what a case asks."""
    answer = {"role": "assistant", "content": LABELS[0]}
    return {"messages": [{"role": "user", "content": case(number)["question"]}, answer]}


CASES = [case(n) for n in range(20)]
ROWS = [row(n) for n in range(100)]


@dataclass(slots=True)
class Voice:
    """What the engine answers: right for so many cases of ten, by what the rung gives it."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, call: Call) -> str:
        found = re.search(r"영화평 (\d+)번", call.question)
        assert found is not None
        number, body = int(found[1]), call.body
        self.asked.append(body)
        right = number % 10 < self._of_ten(call)
        label = LABELS[number % 2 if right else 1 - number % 2]
        if form := body.get("response_format"):
            is_object = form["json_schema"]["schema"]["type"] == "object"
            return json.dumps({"answer": label} if is_object else label, ensure_ascii=False)
        if "Think step by step" in str(body["messages"][0]["content"]):
            return f"음, {LABELS[0]}일까? {LABELS[1]}일까? Final answer: {label}"
        return label

    @staticmethod
    def _of_ten(call: Call) -> int:
        if call.marker:
            return 10 if call.marker.endswith("-100") else 8
        return 6 if len(call.body["messages"]) > 2 else 4


@dataclass(slots=True)
class World:
    """What a test works with."""

    stack: ChatStack
    tuner: FakeTuner
    voice: Voice
    folder: Path

    @property
    def options(self) -> list[str]:
        gateway = self.stack.gateway
        return ["--key", gateway.secrets["admin"], "--url", gateway.base_url]

    def arguments(self, rungs: str, *options: str, **files: Any) -> list[str]:
        """The command's arguments; `cases` and `train` replace what the files hold."""
        cases = written(self.folder / "cases.jsonl", files.get("cases", CASES))
        train = written(self.folder / "train.jsonl", files.get("train", ROWS))
        given = ["--cases", cases, "--train", train, "--rungs", rungs]
        named = [] if "--assistant" in options else ["--assistant", "sentiment"]
        out = ["--out", str(self.folder / "found.json")]
        return ["ladder", "run", *named, *given, *out, *options, *self.options]

    async def run(self, rungs: str, *options: str, **files: Any) -> str:
        """Run the command in a thread: it has an event loop of its own."""
        arguments = self.arguments(rungs, *options, **files)
        ran = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code == 0, ran.output
        return ran.output

    @property
    def saved(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "found.json").read_text("utf-8"))
        return found

    @property
    def report(self) -> dict[str, Any]:
        return dict(self.saved["report"])

    @property
    def shares(self) -> dict[str, float]:
        rungs = self.report["rungs"]
        return {one["name"]: one["figures"]["pass_rate"]["value"] for one in rungs}

    async def assistants(self) -> list[str]:
        page = (await self.stack.gateway.admin.get("/admin/assistants")).body
        return [one["id"] for one in page["data"]]

    def answered(self) -> int:
        """How many answers the run has written down."""
        file = self.folder / "found.answers.jsonl"
        return file.read_text("utf-8").count('"answer"') if file.exists() else 0


def written(file: Path, lines: Any) -> str:
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway, engine and tuner for the whole module."""
    home = tmp_path_factory.mktemp("ladder")
    async with chat_stack(home) as stack, open_session() as session:
        gateway, voice = stack.gateway, Voice()
        stack.engine.reply = voice
        profile = {"system": SYSTEM, "sampling": {"max_tokens": 64}}
        await stack.bind("sentiment", profile=profile)
        await stack.bind("grounded", profile=profile, retrieval={"collections": ["films"]})
        queue = JobQueue(Peer("gateway", gateway.base_url, session, gateway.secrets["tuner"]))
        store = ArtifactStore(gateway.settings.artifact_store_url)
        tuner = FakeTuner(queue, store, home / "tuner", stack.holds)
        async with tuner.working():
            yield World(stack, tuner, voice, home)


@pytest.fixture
def world(shared: World, tmp_path: Path) -> World:
    """The shared world with a folder of the test's own, and nothing asked so far."""
    shared.voice.asked.clear()
    shared.tuner.failing.clear()
    return replace(shared, folder=tmp_path)


async def test_every_rung_is_measured_and_the_cheapest_that_is_better_is_advised(
    world: World,
) -> None:
    told = await world.run("zero-shot,few-shot,cot,structured,rag,lora-60,lora-100")
    assert world.shares == {
        "zero-shot": 0.4, "few-shot": 0.6, "structured": 0.4, "cot": 0.4, "lora-60": 0.8,
        "lora-100": 1.0,
    }  # fmt: skip
    report = world.report
    (left,) = report["left_out"]
    assert "bind it to a collection" in left["reason"]
    assert "rag is left out" in told
    assert (report["advice"]["verdict"], report["advice"]["rung"]) == ("adopt", "lora-60")
    assert all(len(line) <= 100 for line in told.split("\n") if line.startswith(("rung ", "lora")))
    assert await world.assistants() == ["grounded", "sentiment"]
    page = (world.folder / "found.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert not re.search(r"(?:src|href|url)\s*[=(]", page)
    assert "영화평 5번" in page
    assert "| lora-60 | 80.0% [" in (world.folder / "found.md").read_text("utf-8")


async def test_rungs_of_rows_learn_from_the_first_of_one_shuffle_under_the_assistants_prompt(
    world: World,
) -> None:
    await world.run("zero-shot,few-shot-4,lora-60,lora-100")
    fewer, more = (world.tuner.rows[f"sentiment-lora-{n}"] for n in (60, 100))
    assert (len(fewer), more[:60]) == (60, fewer)
    first = json.loads(fewer[0])["messages"]
    assert first[0] == {"role": "system", "content": SYSTEM}
    assert first != ROWS[0]["messages"]
    (shown,) = {json.dumps(body["messages"][1:-1]) for body in world.voice.asked
                if len(body["messages"]) > 2}  # fmt: skip
    answers = [turn["content"] for turn in json.loads(shown) if turn["role"] == "assistant"]
    assert sorted(answers) == ["긍정", "긍정", "부정", "부정"]


async def test_a_base_that_only_goes_on_with_a_text_gets_its_examples_as_text(
    world: World,
) -> None:
    await world.run("few-shot-2", "--base-style", "text")
    (system, user) = world.voice.asked[0]["messages"]
    assert system["content"].startswith(SYSTEM)
    assert system["content"].count("Answer:\n") == 2
    assert user["role"] == "user"
    assert "\n" in world.voice.asked[0]["stop"]


async def test_an_assistant_that_retrieves_is_asked_with_passages_and_trained_with_them(
    world: World,
) -> None:
    world.stack.gateway.retriever.passages = [passage("여름에 개봉한 영화입니다.")]
    await world.run("rag,rag+lora-60", "--assistant", "grounded")
    assert list(world.shares) == ["rag", "rag+lora-60"]
    asked = [body["messages"][-1]["content"] for body in world.voice.asked]
    assert len(asked) == 40
    assert all(text.startswith("Passages:") for text in asked)
    rows = [json.loads(line)["messages"] for line in world.tuner.rows["grounded-rag-lora-60"]]
    assert all("Passages:\n[1]" in row[1]["content"] for row in rows)


async def test_a_run_that_is_killed_goes_on_where_it_stood(world: World) -> None:
    rungs = "zero-shot,few-shot,lora-60"
    # The last rung waits for its adapter, so that the run cannot be over before it is killed.
    world.tuner.holding = True
    command = [sys.executable, "-m", "services.cli.main", *world.arguments(rungs)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await eventually(lambda: world.answered() >= 25, seconds=DEADLINE_SECONDS)
    process.kill()
    await process.wait()
    world.tuner.holding = False
    before, asked = world.answered(), len(world.voice.asked)
    assert 25 <= before <= 40
    await world.run(rungs)
    # What was under way when the process died is asked once more, or comes late.
    assert 60 - before <= len(world.voice.asked) - asked <= 64 - before
    assert world.shares == {"zero-shot": 0.4, "few-shot": 0.6, "lora-60": 0.8}
    assert await world.assistants() == ["grounded", "sentiment"]
    again = len(world.voice.asked)
    await world.run(rungs)
    assert len(world.voice.asked) == again


async def test_a_training_that_was_begun_is_waited_for_and_not_begun_again(world: World) -> None:
    world.tuner.holding = True
    command = [sys.executable, "-m", "services.cli.main", *world.arguments("lora-100")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    answers = world.folder / "found.answers.jsonl"
    await eventually(
        lambda: answers.exists() and '"job"' in answers.read_text("utf-8"), seconds=DEADLINE_SECONDS
    )
    process.kill()
    await process.wait()
    world.tuner.holding = False
    jobs = await world.stack.gateway.admin.get("/v1/fine_tuning/jobs?limit=100")
    await world.run("lora-100")
    after = await world.stack.gateway.admin.get("/v1/fine_tuning/jobs?limit=100")
    assert [job["id"] for job in after.body["data"]] == [job["id"] for job in jobs.body["data"]]
    assert list(world.shares) == ["lora-100"]


async def test_changed_inputs_are_refused_by_name_until_the_run_begins_anew(world: World) -> None:
    await world.run("zero-shot")
    with pytest.raises(CommandError, match=r"the cases changed since.*--fresh"):
        await world.run("zero-shot", cases=CASES[:10])
    with pytest.raises(CommandError, match=r"--repeats changed since"):
        await world.run("zero-shot", "--repeats", "2")
    await world.run("zero-shot,few-shot")
    assert list(world.shares) == ["zero-shot", "few-shot"]
    await world.run("zero-shot", "--fresh", "--repeats", "2", cases=CASES[:10])
    (rung,) = world.report["rungs"]
    assert rung["figures"]["consistency"] == 1.0


async def test_a_rung_whose_training_fails_is_left_out_with_the_reason(world: World) -> None:
    world.tuner.failing["sentiment-lora-60"] = "The disk is full."
    told = await world.run("zero-shot,lora-60")
    assert "lora-60 is left out: The disk is full." in told
    assert list(world.shares) == ["zero-shot"]
    del world.tuner.failing["sentiment-lora-60"]
    await world.run("zero-shot,lora-60")
    assert list(world.shares) == ["zero-shot", "lora-60"]


async def test_a_rung_of_which_nothing_can_be_asked_is_left_out(world: World) -> None:
    long = [{**one, "question": one["question"] + " 가" * 3000} for one in CASES]
    with pytest.raises(CommandError, match="first 5 answers failed"):
        await world.run("zero-shot", cases=long)


async def test_a_hosted_model_climbs_the_prompt_rungs_and_is_priced_by_its_tokens(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTED_KEY", ENGINE_KEY)
    prices = world.folder / "prices.json"
    prices.write_text(json.dumps({
        "own": {"usd_per_hour": 2.0}, "hosted": {"base": {"prompt": 3.0, "completion": 15.0}}
    }))  # fmt: skip
    url = world.stack.agents[0].endpoint
    options = ["--target", f"{url}/v1,base", "--target-key", "HOSTED_KEY"]
    told = await world.run("structured,cot,lora-60", *options, "--prices", str(prices))
    hosted = ["base:structured", "base:cot"]
    assert list(world.shares) == ["structured", "cot", "lora-60", *hosted]
    assert [world.shares[name] for name in hosted] == [0.4, 0.4]
    rungs = {one["name"]: one for one in world.report["rungs"]}
    tokens = rungs["base:cot"]["figures"]
    paid = tokens["prompt_tokens"] * 3.0 + tokens["completion_tokens"] * 15.0
    assert rungs["base:cot"]["usd_per_100k"] == pytest.approx(paid / 10)
    assert rungs["lora-60"]["training"]["usd"] is not None
    assert "for 100,000 requests" in told


@pytest.mark.parametrize(
    ("rungs", "options", "files", "sentence"),
    [
        ("zero", [], {}, "'zero' is no rung; name zero-shot"),
        ("cot+structured", [], {}, "a schema leaves no room for steps"),
        ("rag", [], {}, "No rung of your own can be measured. rag: the assistant retrieves"),
        ("lora-20", [], {}, "20 rows are too few to train on; the least is 50"),
        ("lora-1000", [], {}, "the training file has 100 rows; add rows, or name lora-100"),
        ("zero-shot", ["--assistant", "nobody"], {}, "There is no assistant 'nobody'"),
        ("zero-shot", ["--target", "gpt-x"], {}, "write it like https://"),
        ("zero-shot", ["--target", "http://h/v1,m", "--target-key", "NO_SUCH"], {}, "set NO_SUCH"),
        ("zero-shot", ["--knob", "epochs"], {}, "write it like epochs=1"),
        ("zero-shot", ["--out", "/nowhere/found.json"], {}, "choose another place with --out"),
        ("zero-shot", ["--prices", "PRICES"], {}, "own.usd_per_hour"),
        ("zero-shot", [], {"cases": [{"id": "x"}]}, "cases.jsonl, line 1"),
        ("few-shot", [], {"train": [{"messages": []}]}, "train.jsonl, line 1"),
        ("few-shot", [], {"train": [*ROWS, leaked(3)]}, "(leaked_rows)"),
        ("lora-100", [], {"train": [*ROWS[:99], row(1, system="x")]}, "system_prompt_mismatch"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_one_sentence_before_anything_is_asked(
    world: World, rungs: str, options: list[str], files: dict[str, Any], sentence: str
) -> None:
    prices = world.folder / "prices.json"
    prices.write_text('{"own": {"usd_per_hour": -1}}')
    given = [str(prices) if one == "PRICES" else one for one in options]
    with pytest.raises((CommandError, ServiceError)) as refusal:
        await world.run(rungs, *given, **files)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert world.voice.asked == []


async def test_two_runs_do_not_write_to_the_same_file(world: World) -> None:
    await world.run("zero-shot")
    with (world.folder / "found.answers.jsonl").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="another command"):
            await world.run("zero-shot")


async def test_a_voice_is_judged_by_the_classifier_that_is_named(world: World) -> None:
    texts = {"긍정": "polite", "부정": "rude"}
    rows = [{"text": f"{label} 말이에요 {n}", "label": style}
            for n in range(12) for label, style in texts.items()]  # fmt: skip
    styles = world.folder / "style.json"
    trained = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        ["eval", "style", "train", written(world.folder / "styles.jsonl", rows), "--out",
         str(styles)],
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    polite = [{**one, "checks": [{"kind": "style", "style": "polite"}]} for one in CASES]
    with pytest.raises(CommandError, match="--style FILE"):
        await world.run("zero-shot", cases=polite)
    await world.run("zero-shot", "--style", str(styles), cases=polite)
    assert world.shares == {"zero-shot": 0.5}
    assert world.report["judges"]["styles"]
    assert "style classifier" in (world.folder / "found.md").read_text("utf-8")
    with pytest.raises(CommandError, match="the style classifier changed"):
        await world.run("zero-shot", cases=CASES)
