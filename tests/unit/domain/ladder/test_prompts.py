"""What rungs are told, and which rows they see."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import services.generator
from services.contracts.assistants import Profile
from services.contracts.datasets import Message
from services.contracts.evaluation_cases import EvaluationCase
from services.domain.datasets.examples import Example
from services.domain.fingerprint import chat_template_hash
from services.domain.ladder.examples import LONGEST_EXAMPLE, are_brief, labels_of, picked, shuffled
from services.domain.ladder.prompts import (
    PLAIN_TEMPLATES,
    Task,
    left_out,
    profile_of,
    schema_of,
)
from services.domain.ladder.rows import recipe_for, training_row
from services.domain.ladder.rungs import Rung, rungs_of
from services.domain.passages import Source
from services.domain.rendering import prompt_hash

LABELS = ["긍정", "부정"]
PROFILE = Profile.model_validate(
    {
        "system": "감상을 읽으세요.",
        "few_shot": [{"user": "a", "assistant": "b"}],
        "sampling": {"max_tokens": 100, "stop": ["\n\n", "###"]},
    }
)


def row(line: int, question: str, answer: str) -> Example:
    turns = [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return Example(line, turns)


ROWS = [row(n, f"글 {n}", LABELS[n % 2]) for n in range(40)]


def case(**fields: Any) -> EvaluationCase:
    checks = [{"kind": "label", "labels": LABELS, "expected": "긍정"}]
    return EvaluationCase.model_validate({"id": "c", "question": "?", "checks": checks, **fields})


def rung(name: str) -> Rung:
    (found,) = rungs_of(name)
    return found


def test_the_plain_template_is_known_by_its_hash() -> None:
    template = Path(services.generator.__path__[0], "chat_template.jinja").read_text()
    assert chat_template_hash(template) in PLAIN_TEMPLATES


def test_an_adapter_is_told_the_assistants_own_text_and_nothing_else() -> None:
    for plain in (False, True):
        told = profile_of(rung("lora-100"), Task(PROFILE, LABELS, plain=plain), [])
        assert prompt_hash(told) == prompt_hash(Profile(system=PROFILE.system))
        assert told.sampling.stop == ["\n\n", "###"]


def test_a_prompt_names_the_labels_where_the_assistants_text_does_not() -> None:
    told = profile_of(rung("zero-shot"), Task(PROFILE, LABELS), [])
    assert (
        told.system == "감상을 읽으세요.\n\nAnswer with one of these and nothing else: 긍정, 부정"
    )
    named = PROFILE.model_copy(update={"system": "긍정 또는 부정으로 답하세요."})
    assert profile_of(rung("zero-shot"), Task(named, LABELS), []).system == named.system
    assert profile_of(rung("zero-shot"), Task(PROFILE), []).system == PROFILE.system


def test_examples_are_turns_for_a_base_that_chats_and_text_for_one_that_goes_on() -> None:
    shown = picked(ROWS, 2, LABELS, 1)
    chats = profile_of(rung("few-shot-2"), Task(PROFILE, LABELS), shown)
    assert chats.few_shot == shown
    text = profile_of(rung("few-shot-2"), Task(PROFILE, LABELS, brief=True, plain=True), shown)
    assert text.few_shot == []
    ends = [f"{one.user}\n\nAnswer:\n{one.assistant}" for one in shown]
    assert text.system.endswith("\n\n".join(ends))
    assert "\n" in text.sampling.stop
    hosted = profile_of(rung("few-shot-2").on("x"), Task(PROFILE, LABELS, plain=True), shown)
    assert hosted.few_shot == shown


def test_a_label_gets_few_tokens_and_steps_or_a_schema_some_more() -> None:
    task = Task(PROFILE, LABELS, brief=True)
    most = {
        name: profile_of(rung(name), task, []).sampling.max_tokens
        for name in ("zero-shot", "structured", "cot", "lora-100")
    }
    assert most == {"zero-shot": 10, "structured": 42, "cot": 106, "lora-100": 10}
    for free in (Task(PROFILE), Task(PROFILE, LABELS)):
        assert profile_of(rung("zero-shot"), free, []).sampling.max_tokens == 100


def test_nothing_cuts_steps_or_a_schema_short() -> None:
    task = Task(PROFILE, LABELS)
    assert profile_of(rung("cot"), task, []).sampling.stop == ["###"]
    assert profile_of(rung("structured"), task, []).sampling.stop == []


def test_a_schema_is_the_profiles_or_the_cases_or_one_of_the_labels() -> None:
    own: dict[str, Any] = {"type": "object"}
    wanted = {"kind": "json_schema", "json_schema": {"type": "array"}}
    profile = PROFILE.model_copy(update={"output_schema": own})
    assert schema_of(profile, [case()]) == own
    assert schema_of(PROFILE, [case(checks=[wanted]), case(checks=[wanted])]) == {"type": "array"}
    assert schema_of(PROFILE, [case(checks=[wanted]), case()]) is None
    made = Task(PROFILE, LABELS)
    assert made.schema_on(None) == {"type": "string", "enum": LABELS}
    hosted = made.schema_on("gpt-x")
    assert hosted is not None
    assert hosted["properties"]["answer"]["enum"] == LABELS
    assert made.is_wrapped
    assert not Task(PROFILE, LABELS, schema=own).is_wrapped
    assert Task(PROFILE).schema_on(None) is None


def test_labels_are_those_of_every_case_but_guards() -> None:
    other = [{"kind": "label", "labels": ["중립", "부정"], "expected": "중립"}]
    assert labels_of([case(), case(checks=other)]) == ["긍정", "부정", "중립"]
    free = {"checks": [], "expected": "x"}
    assert labels_of([case(), case(**free)]) == []
    guarded = [case(), case(**free, tags=["guard"])]
    assert labels_of(guarded) == LABELS
    assert are_brief([case(), case(checks=other)])
    assert not are_brief(guarded)


def test_examples_are_balanced_by_label_and_the_same_for_a_seed() -> None:
    uneven = [row(n, f"글 {n}", LABELS[n % 10 == 0]) for n in range(40)]
    shown = picked(shuffled(uneven, 3), 6, LABELS, 3)
    assert sorted(one.assistant for one in shown) == ["긍정"] * 3 + ["부정"] * 3
    assert shown == picked(shuffled(uneven, 3), 6, LABELS, 3)
    assert shown != picked(shuffled(uneven, 4), 6, LABELS, 4)


def test_fewer_examples_of_a_shuffle_are_among_more_of_it() -> None:
    shown = [{one.user for one in picked(ROWS, count, LABELS, 1)} for count in (2, 4, 8)]
    assert all(fewer < more for fewer, more in pairwise(shown))


def test_long_rows_and_conversations_are_not_shown() -> None:
    turns = [*ROWS[0].turns, *ROWS[1].turns]
    odd = [Example(1, turns), row(2, "가" * (LONGEST_EXAMPLE + 1), "긍정"), row(3, "짧다", "긍정")]
    assert [one.user for one in picked(odd, 3, [], 1)] == ["짧다"]


def test_a_training_row_stands_under_the_assistants_text_and_among_its_passages() -> None:
    bare = Profile(system="감상을 읽으세요.")
    found = training_row(ROWS[0], bare, [Source("제목", "여름 영화")], grounded=True)["messages"]
    assert [turn["role"] for turn in found] == ["system", "user", "assistant"]
    assert found[1]["content"] == "Passages:\n[1] 제목\n여름 영화\n\nQuestion: 글 0"
    plain = training_row(ROWS[0], bare, [], grounded=False)["messages"]
    assert plain[1]["content"] == "글 0"
    told = [Message(role="system", content=bare.system), *ROWS[0].turns]
    assert training_row(Example(1, told), bare, [], grounded=False)["messages"] == plain
    shown = row(1, "Passages:\n[1] a\nb\n\nQuestion: c", "긍정")
    kept = training_row(shown, bare, [Source("x", "y")], grounded=True)["messages"]
    assert kept[1]["content"] == shown.question


def test_an_adapter_of_few_rows_sees_them_more_often_and_fewer_at_a_time() -> None:
    learnt = {rows: tuple(recipe_for(rows).values()) for rows in (50, 100, 600, 1000, 10_000)}
    assert learnt == {50: (12, 2), 100: (6, 2), 600: (1, 2), 1000: (1, 3), 10_000: (1, 8)}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("zero-shot", None),
        ("structured", None),
        ("few-shot", None),
        ("lora-50", None),
        ("rag", "retrieves nothing"),
        ("rag+lora-60", "retrieves nothing"),
        ("lora-49", "the least is 50"),
        ("lora-101", "the training file has 100 rows"),
    ],
)
def test_a_rung_that_cannot_be_measured_says_why(name: str, why: str | None) -> None:
    told = left_out(rung(name), Task(PROFILE, LABELS), retrieves=False, rows=100, fewest=50)
    assert (told is None) if why is None else (told is not None and why in told)


def test_examples_and_a_schema_need_something_to_be_made_of() -> None:
    task = Task(PROFILE)
    needs = (("structured", "there is no schema"), ("few-shot", "--train"), ("lora-50", "--train"))
    for name, why in needs:
        told = left_out(rung(name), task, retrieves=True, rows=0, fewest=50)
        assert told is not None
        assert why in told
