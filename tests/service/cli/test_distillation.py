"""`inkstone distil` against a scripted teacher and a real gateway."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.chassis.completions import EndpointUnusable
from services.cli.connection import Connection
from services.cli.distil_asking import FromAssistant
from services.cli.failures import CommandError
from services.cli.main import app
from services.contracts.distillation import DistilLine, DistilManifest, DistilPrompt
from tests.fakes.agent import eventually
from tests.fakes.completions import Failing, FakeCompletions, Said
from tests.fakes.loopback import running
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio

SYSTEM = "Answer from the passages and cite them like [1]."
REFUND = "Refunds take 14 days. 환불은 14일 걸립니다."


def right(body: dict[str, Any]) -> str:
    """A teacher that says what the passage says, in the question's language."""
    korean = "환불" in body["messages"][-1]["content"].rpartition("Question:")[2]
    return "환불은 14일 걸립니다 [1]." if korean else "Refunds take 14 days [1]."


@dataclass(slots=True)
class Room:
    """A teacher, and the folder that a distillation writes to."""

    folder: Path
    url: str
    teacher: FakeCompletions
    gateway: list[str] = field(default_factory=list)
    """Options that name the gateway, where there is one."""

    @property
    def out(self) -> Path:
        return self.folder / "train.jsonl"

    def prompts(self, *prompts: dict[str, Any]) -> str:
        file = self.folder / "prompts.jsonl"
        lines = [json.dumps(one, ensure_ascii=False) for one in prompts]
        file.write_text("\n".join(lines), encoding="utf-8")
        return str(file)

    async def distil(self, *options: str, prompts: list[dict[str, Any]]) -> str:
        """Run the command in a thread: it has an event loop of its own."""
        given = ["distil", "--teacher", self.url, "--model", "big", "--out", str(self.out)]
        given += ["--prompts", self.prompts(*prompts), *self.gateway, *options]
        ran = await asyncio.to_thread(
            CliRunner().invoke, app, given, env={"COLUMNS": "200", "TEACHER": "secret"}
        )
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code == 0, ran.output
        return ran.output

    def rows(self) -> list[dict[str, Any]]:
        lines = self.out.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def manifest(self) -> DistilManifest:
        return DistilManifest.model_validate_json((self.folder / "train.manifest.json").read_text())


def asked(*questions: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"question": question, **fields} for question in questions]


def plain(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in one.items() if k != "weight"} for one in row["messages"]]


def many(count: int) -> list[dict[str, Any]]:
    return asked(*(f"Question number {n}?" for n in range(count)))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """A teacher alone: prompts go to it as they are."""
    teacher = FakeCompletions(lambda body: f"About {body['messages'][-1]['content'].lower()}")
    async with running(teacher.app) as url:
        yield Room(tmp_path, url, teacher)


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChatStack]:
    """A gateway with an assistant that retrieves."""
    async with chat_stack(tmp_path_factory.mktemp("stack")) as made:
        made.gateway.retriever.passages = [passage(REFUND)]
        profile = {"system": SYSTEM, "few_shot": [{"user": "Open?", "assistant": "At 9 [1]."}]}
        await made.bind(profile=profile, retrieval={"collections": ["handbook"]})
        await made.bind("changing")
        yield made


@pytest.fixture
async def grounded(stack: ChatStack, tmp_path: Path) -> AsyncIterator[Room]:
    """A teacher that answers for the assistant `support`."""
    teacher = FakeCompletions(right)
    key = ["--url", stack.gateway.base_url, "--key", stack.gateway.secrets["admin"]]
    async with running(teacher.app) as url:
        yield Room(tmp_path, url, teacher, [*key, "--assistant", "support"])


async def test_rows_hold_the_prompt_as_production_serves_it(
    grounded: Room, stack: ChatStack
) -> None:
    told = await grounded.distil(
        prompts=asked("How long do refunds take?", "환불은 얼마나 걸리나요?")
    )
    first, other = grounded.rows()
    await stack.ask("How long do refunds take?")
    served = stack.engine.generations()[-1].body["messages"]
    assert plain(first) == [*served, {"role": "assistant", "content": "Refunds take 14 days [1]."}]
    assert [one.get("weight") for one in first["messages"]] == [None, None, 0, None, None]
    assert other["messages"][-1]["content"] == "환불은 14일 걸립니다 [1]."
    for body in grounded.teacher.requests:
        assert body["messages"] in (plain(first)[:-1], plain(other)[:-1])
    assert "2 rows of 2 prompts; 200 prompt and 40 answer tokens" in told
    assert f"inkstone data check {grounded.out} --profile" in told
    assert "inkstone trainings add support-distilled" in told


async def test_the_file_passes_the_gate_with_the_commands_that_are_printed(
    grounded: Room,
) -> None:
    told = await grounded.distil(prompts=asked("How long do refunds take?"))
    line = next(line for line in told.splitlines() if "data check" in line)
    # The command runs a loop of its own.
    arguments = [*line.split()[1:], "--json"]
    checked = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    codes = {one["code"] for one in json.loads(checked.output)["findings"]}
    assert codes == {"too_few_rows"}


async def test_the_manifest_says_where_each_row_is_from(grounded: Room) -> None:
    await grounded.distil(
        "--licence", "our own model", prompts=asked("How long do refunds take?", id="r1")
    )
    made = grounded.manifest()
    assert (made.teaching.model, made.teaching.release) == ("big", "support/1")
    assert made.licence == "our own model"
    origin = made.rows[0]
    assert (origin.prompt, origin.model) == ("r1", "big-2026-01-01")
    assert origin.documents == ["handbook/doc-1"]
    assert origin.scores["citation_recall"] == 1.0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Refunds take 14 days [2].", "citation_invalid"),
        ("Refunds take 14 days.", "citation_recall"),
        ("The moon is made of cheese [1].", "citation_recall"),
        ("환불은 14일 걸립니다 [1].", "language"),
        ("I'm sorry, but I can't help with that.", "refused"),
        (Said(None, refusal="No."), "refused"),
        (Said("Refunds take", finish_reason="length"), "cut_off"),
        ("I could not find this in the documents I have.", "too_many_abstentions"),
        ("", "empty"),
    ],
)
async def test_an_answer_that_is_no_good_gives_no_row(
    grounded: Room, answer: str | Said, reason: str
) -> None:
    grounded.teacher.reply = lambda _: answer
    told = await grounded.distil(prompts=asked("How long do refunds take?"))
    assert grounded.rows() == []
    assert grounded.manifest().dropped == {reason: 1}
    assert reason in told
    assert "Next:" not in told


async def test_what_the_assistant_answers_without_its_model_is_not_asked(
    grounded: Room, stack: ChatStack
) -> None:
    held, stack.gateway.retriever.passages = stack.gateway.retriever.passages, []
    try:
        await grounded.distil(prompts=asked("Who owns it?"))
    finally:
        stack.gateway.retriever.passages = held
    assert grounded.teacher.requests == []
    assert grounded.manifest().dropped == {"nothing_found": 1}


async def test_right_abstentions_are_kept_within_their_share(grounded: Room) -> None:
    known = asked("How long do refunds take?", "환불은 얼마나 걸리나요?")
    unknown = asked("Who owns the shop?", "What colour is the door?")
    wanted = asked("What does the lamp cost?", answerable=False)
    told = asked("Does it say how long refunds take?", answerable=True)

    def answer(body: dict[str, Any]) -> str:
        question = body["messages"][-1]["content"].rpartition("Question:")[2]
        known = "How long" in question or "환불" in question
        return right(body) if known else "I could not find this in the documents I have."

    grounded.teacher.reply = answer
    await grounded.distil("--abstentions", "0.3", prompts=[*known, *unknown, *wanted, *told])
    assert grounded.manifest().dropped == {"abstains": 1, "too_many_abstentions": 1}
    assert len(grounded.rows()) == 4
    lines = (grounded.folder / "train.dropped.jsonl").read_text("utf-8").splitlines()
    dropped = {one["reason"]: one for one in map(json.loads, lines)}
    assert dropped["abstains"]["why"] == "abstains: abstained; it was to answer"
    assert dropped["abstains"]["answer"].startswith("I could not find")


async def test_the_best_of_several_samples_is_kept(room: Room) -> None:
    said = iter(["No idea about that one", "The label is 긍정", "긍정"])
    room.teacher.reply = lambda _: next(said)
    check = {"kind": "exact", "any_of": ["긍정"]}
    near = {"kind": "rouge_l", "at_least": 0.0, "reference": "긍정"}
    await room.distil("--samples", "3", prompts=asked("최고의 영화!", checks=[check, near], id="m"))
    assert room.rows()[0]["messages"][-1]["content"] == "긍정"
    assert room.manifest().rows[0].sample == 2
    assert {body["temperature"] for body in room.teacher.requests} == {0.7}


async def test_rows_that_say_the_same_are_kept_once(room: Room) -> None:
    long = "Tell me in detail how the return of a kettle that was bought in Seoul works, please"
    room.teacher.reply = lambda _: "You bring it back to the shop in Seoul within fourteen days."
    told = await room.distil(prompts=asked(long, long + "!", long.upper(), "Returns?"))
    assert room.manifest().dropped == {"near_duplicate": 1}
    assert "2 rows of 3 prompts (1 more repeat one)" in told


async def test_what_an_evaluation_asks_is_never_trained_on(room: Room) -> None:
    cases = room.folder / "cases.jsonl"
    cases.write_text('{"id": "1", "question": "Secret question?", "expected": "x"}\n')
    await room.distil("--eval", str(cases), prompts=asked("secret  QUESTION?", "Another one?"))
    assert len(room.teacher.requests) == 1
    assert room.manifest().dropped == {"leaked": 1}


async def test_a_run_that_was_cut_off_asks_nothing_twice(room: Room) -> None:
    await room.distil(prompts=many(6))
    answers = room.folder / "train.answers.jsonl"
    lines = answers.read_bytes().split(b"\n")
    # As a killed process leaves it: some lines, and half of the next.
    answers.write_bytes(b"\n".join(lines[:7]) + b"\n" + lines[7][:25])
    kept = sum(b'"answer": {' in line for line in lines[1:7])
    before = len(room.teacher.requests)
    told = await room.distil(prompts=many(8))
    assert len(room.teacher.requests) - before == 8 - kept
    assert "8 rows of 8 prompts; 800 prompt and 160 answer tokens" in told


async def test_a_process_that_is_killed_loses_no_answer_that_it_wrote(room: Room) -> None:
    def reply(body: dict[str, Any]) -> str:
        if len(room.teacher.requests) == 5:
            room.teacher.hold = asyncio.Event()
        return f"About {body['messages'][-1]['content'].lower()}"

    room.teacher.reply = reply
    given = ["--teacher", room.url, "--model", "big", "--out", str(room.out)]
    given += ["--prompts", room.prompts(*many(12)), "--concurrent", "2"]
    command = [sys.executable, "-m", "services.cli.main", "distil", *given]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    answers = room.folder / "train.answers.jsonl"
    await eventually(lambda: room.teacher.hold is not None, seconds=120)
    await eventually(lambda: answers.read_text().count('"answer": {') >= 5, seconds=60)
    process.kill()
    await process.wait()
    whole = answers.read_text().rpartition("\n")[0].splitlines()[1:]
    lines = [DistilLine.model_validate_json(line) for line in whole]
    kept = {line.answer.text for line in lines if line.answer}
    room.teacher.hold, before = None, len(room.teacher.requests)
    room.teacher.reply = lambda body: f"About {body['messages'][-1]['content'].lower()}"
    await room.distil(prompts=many(12))
    again = {room.teacher.reply(body) for body in room.teacher.requests[before:]}
    assert len(kept) >= 5
    assert not kept & again
    assert len(room.rows()) == 12


async def test_answers_of_another_teacher_are_not_mixed_in(room: Room) -> None:
    await room.distil(prompts=many(1))
    with pytest.raises(CommandError, match="other: parameters"):
        await room.distil("--temperature", "0.3", prompts=many(1))
    await room.distil("--temperature", "0.3", "--fresh", prompts=many(1))
    assert room.teacher.requests[-1]["temperature"] == 0.3


async def test_an_assistant_that_changes_is_noticed(grounded: Room, stack: ChatStack) -> None:
    options = [*grounded.gateway[:-1], "changing"]
    grounded.gateway = options
    grounded.teacher.reply = lambda _: "Certainly."
    await grounded.distil(prompts=asked("Hello there?"))
    await stack.bind("changing", profile={"system": "Be brief."})
    with pytest.raises(CommandError, match="release"):
        await grounded.distil(prompts=asked("Hello there?", "And again?"))


async def test_a_prompt_of_another_release_is_not_taken(stack: ChatStack) -> None:
    gateway = Connection(stack.gateway.base_url, stack.gateway.secrets["admin"])
    async with gateway.gateway() as opened:
        compose = FromAssistant(opened.peer, "support", "support/99")
        with pytest.raises(CommandError, match="serves support/1 now and not support/99"):
            await compose(DistilPrompt(question="Hello there?"))


async def test_the_budget_ends_the_asking_and_never_is_exceeded(room: Room) -> None:
    told = await room.distil("--budget-tokens", "700", "--max-tokens", "50", prompts=many(20))
    spent = 120 * len(room.teacher.requests)
    assert 0 < spent <= 700
    assert "The budget is spent" in told
    assert room.manifest().dropped["not_asked"] == 20 - len(room.teacher.requests)
    prices = ["--price-in", "10", "--price-out", "50", "--budget-usd", "1"]
    told = await room.distil(*prices, "--max-tokens", "50", prompts=many(20))
    assert "20 rows of 20 prompts" in told
    assert room.manifest().cost_usd == pytest.approx(20 * (100 * 10 + 20 * 50) / 1e6)


async def test_a_teacher_that_counts_no_tokens_has_a_budget_all_the_same(room: Room) -> None:
    room.teacher.tokens = (0, 0)
    told = await room.distil("--budget-tokens", "700", "--max-tokens", "50", prompts=many(20))
    assert 0 < len(room.teacher.requests) < 20
    assert "The budget is spent" in told


async def test_as_many_are_asked_at_once_as_are_allowed(room: Room) -> None:
    room.teacher.hold = asyncio.Event()
    running = asyncio.create_task(room.distil("--concurrent", "3", prompts=many(9)))
    await eventually(lambda: room.teacher.at_once == 3, seconds=60)
    room.teacher.hold.set()
    await running
    assert room.teacher.most_at_once == 3


async def test_a_teacher_without_room_is_asked_again(room: Room) -> None:
    room.teacher.failing = [Failing(429, headers={"Retry-After": "0"}), Failing(503)]
    await room.distil(prompts=many(3))
    assert len(room.rows()) == 3


async def test_a_prompt_that_is_refused_leaves_the_others_alone(room: Room) -> None:
    def reply(body: dict[str, Any]) -> str | Failing:
        question = body["messages"][-1]["content"]
        return Failing(400, "too odd") if "2" in question else f"About {question.lower()}"

    room.teacher.reply = reply
    told = await room.distil(prompts=many(4))
    assert room.manifest().dropped == {"failed": 1}
    assert "too odd" in told


@pytest.mark.parametrize(
    ("reply", "kind", "said", "most"),
    [
        (lambda _: Failing(401, "bad key"), EndpointUnusable, "does not take the key", 4),
        (lambda _: Failing(400, "no temperature"), CommandError, "no temperature.*--extra", 12),
    ],
)
async def test_what_every_prompt_would_meet_ends_the_run(
    room: Room, reply: Callable[[Any], Failing], kind: type[Exception], said: str, most: int
) -> None:
    asked_for = []

    def counted(body: dict[str, Any]) -> Failing:
        asked_for.append(body)
        return reply(body)

    room.teacher.reply = counted
    with pytest.raises(kind, match=said):
        await room.distil(prompts=many(50))
    assert len(asked_for) <= most


async def test_a_teacher_that_never_comes_to_an_end_is_not_asked_for_ever(room: Room) -> None:
    room.teacher.reply = lambda _: Said("and on and on", finish_reason="length")
    with pytest.raises(CommandError, match=r"last 20 answers were all cut off.*--max-tokens"):
        await room.distil(prompts=many(60))
    assert len(room.teacher.requests) < 30
    # One that does so now and then is.
    room.teacher.requests.clear()
    room.teacher.reply = lambda body: Said(
        f"About {body['messages'][-1]['content'].lower()}",
        finish_reason="length" if "7" in body["messages"][-1]["content"] else "stop",
    )
    await room.distil("--fresh", prompts=many(40))
    assert set(room.manifest().dropped) == {"cut_off"}


async def test_the_key_comes_from_the_environment_only(room: Room) -> None:
    room.teacher.api_key = "secret"
    await room.distil("--key-env", "TEACHER", prompts=many(1))
    assert len(room.rows()) == 1
    written = [file.read_text() for file in room.folder.iterdir()]
    assert not any("secret" in text for text in written)
    with pytest.raises(CommandError, match="NOBODY is not set"):
        await room.distil("--key-env", "NOBODY", prompts=many(1))


async def test_the_teacher_may_be_told_more_than_the_student(room: Room) -> None:
    told = room.folder / "told.txt"
    told.write_text("존댓말로 답하세요.", encoding="utf-8")
    await room.distil("--instructions", str(told), prompts=many(1))
    assert room.teacher.requests[0]["messages"][0]["content"] == "존댓말로 답하세요."
    assert [one["role"] for one in room.rows()[0]["messages"]] == ["user", "assistant"]
    assert room.manifest().teaching.instructions == "존댓말로 답하세요."


async def test_a_schema_is_asked_for_and_held_against(room: Room) -> None:
    profile = room.folder / "profile.json"
    schema = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}},
              "required": ["mood"]}  # fmt: skip
    profile.write_text(json.dumps({"output_schema": schema}))
    said = iter(['{"mood": "good"}', '{"mood": "so-so"}'])
    room.teacher.reply = lambda _: next(said)
    await room.distil(
        "--profile", str(profile), "--concurrent", "1", prompts=asked("Great!", "Hm.")
    )
    assert room.teacher.requests[0]["response_format"]["json_schema"]["schema"] == schema
    assert room.manifest().dropped == {"json_schema": 1}


async def test_steps_before_a_final_answer_are_trained_and_not_checked(room: Room) -> None:
    profile = room.folder / "profile.json"
    profile.write_text(json.dumps({"reasoning": "cot"}))
    said = iter(["<think>hm</think>2 and 2 make 4. Final answer: 4", "It is 4."])
    room.teacher.reply = lambda _: next(said)
    prompts = asked("2 + 2?", "1 + 3?", checks=[{"kind": "exact", "any_of": ["4"]}])
    await room.distil("--profile", str(profile), "--concurrent", "1", prompts=prompts)
    assert room.manifest().dropped == {"no_final_answer": 1}
    trained = room.rows()[0]["messages"][-1]["content"]
    assert trained == "2 and 2 make 4. Final answer: 4"


@pytest.mark.parametrize(
    ("options", "prompts", "said"),
    [
        ([], [{"id": "x"}], r"prompts\.jsonl, line 1: .*question"),
        ([], [{"question": "a", "checks": [{"kind": "regex", "pattern": "("}]}], "the pattern"),
        (["--extra", "{"], asked("a"), "--extra is no JSON"),
        (["--extra", '{"n": 3}'], asked("a"), "without model, messages, stream and n"),
        (["--budget-usd", "1"], asked("a"), "needs --price-in"),
        (["--judge", "http://x/v1"], asked("a"), "give both --judge and --judge-model"),
        ([], asked("a", checks=[{"kind": "judge", "rubric": "kind"}]), "no judge is named"),
        (["--eval", "no/where.jsonl"], asked("a"), "no/where"),
    ],
)
async def test_bad_input_is_said_before_anything_is_asked(
    room: Room, options: list[str], prompts: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises((CommandError, OSError), match=said):
        await room.distil(*options, prompts=prompts)
    assert room.teacher.requests == []


async def test_two_at_once_do_not_write_one_file(room: Room) -> None:
    room.teacher.hold = asyncio.Event()
    running = asyncio.create_task(room.distil(prompts=many(2)))
    await eventually(lambda: room.teacher.at_once > 0, seconds=60)
    try:
        async with asyncio.timeout(120):
            with pytest.raises(CommandError, match="another command"):
                await room.distil(prompts=many(2))
    finally:
        room.teacher.hold.set()
        await running
