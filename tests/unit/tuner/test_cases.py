"""The held-out cases: answered by the corpus, graded as a reader would, absent from training."""

from __future__ import annotations

import random
import re

import pytest

from examples.evaluation.cases import Case, read_cases
from examples.evaluation.grading import grade, summarise
from examples.evaluation.leakage import leaks
from examples.evaluation.picking import CORPUS, Chunk, LexicalIndex, read_chunks
from examples.style.templates import Language, read_templates
from examples.style.voices import VOICES
from services.contracts.assistants import Abstention

LANGUAGES: tuple[Language, ...] = ("en", "ko")
CHUNKS = [
    Chunk("a.md", "A", "The mill opened in 1904."),
    Chunk("b.md", "B", "The dam opened in 1950."),
]
ABSTENTION = Abstention()


def _case(expected: str | None) -> Case:
    return Case.model_validate(
        {
            "id": "x",
            "question": "When did the mill open?",
            "expected": expected,
            "checks": [{"kind": "contains", "any_of": [expected]}] if expected else [],
            "answerable": expected is not None,
            "tags": ["en"],
        }
    )


def test_there_are_enough_cases_in_both_languages() -> None:
    cases = read_cases()
    for language in LANGUAGES:
        assert sum(case.answerable is True and case.lang == language for case in cases) >= 20
        assert sum(not case.answerable and case.lang == language for case in cases) >= 5
    assert len({case.id for case in cases}) == len(cases)


def test_every_expected_answer_stands_in_its_document() -> None:
    for case in read_cases():
        texts = [(CORPUS / name).read_text("utf-8") for name in case.documents]
        held = any(span in text for span in case.accepted for text in texts)
        assert held is case.answerable, case.id


def test_the_lexical_search_finds_nearly_every_answer() -> None:
    index = LexicalIndex(read_chunks())
    cases = [case for case in read_cases() if case.answerable]
    found = [
        any(span in chunk.text for chunk in index.best(case.asked, 3) for span in case.accepted)
        for case in cases
    ]
    assert sum(found) >= 0.95 * len(cases)


def test_training_material_repeats_no_held_out_text() -> None:
    sentences = [
        sentence
        for chunk in read_chunks()
        for sentence in re.split(r"(?<=[.?!])\s+|\n+", chunk.text)
        if len(sentence) > 12
    ]
    questions = [case.asked for case in read_cases()]
    assert leaks([*questions, *sentences], _training_material()) == []


@pytest.mark.parametrize(
    ("held_out", "training"),
    [
        ("Who designed the pen?", "who designed the pen"),
        ("a b c d e f g h i", "x A b, c d e f g h y"),
        (
            "받으신 물건이 물류센터에 도착하면 영업일 기준 3일 안에",
            "그렇게 받으신 물건이 물류센터에 도착하면 영업일 기준 7일",
        ),
    ],
)
def test_a_leak_is_found(held_out: str, training: str) -> None:
    assert leaks([held_out], [training]) == [held_out]


def test_a_common_turn_of_phrase_is_no_leak() -> None:
    assert leaks(["How much does the Moon Club cost?"], ["How much does the train cost?"]) == []


@pytest.mark.parametrize(
    ("answer", "contains", "cited_right"),
    [
        ("It opened in 1904 [1].", True, True),
        ("It opened in 1904 [2].", True, False),
        ("It opened in 1904 [7].", True, False),
        ("It opened in 1950 [2].", False, False),
    ],
)
def test_an_answer_is_right_only_with_the_right_passage(
    answer: str, contains: bool, cited_right: bool
) -> None:
    verdict = grade(_case("1904"), answer, CHUNKS, ABSTENTION, VOICES["formal"])
    assert (verdict.contains, verdict.cited_right) == (contains, cited_right)
    assert verdict.retrieved


def test_shares_count_abstentions_both_ways() -> None:
    silent = f"Hey! {ABSTENTION.en} 😅"
    answers = [(_case("1904"), silent), (_case(None), silent), (_case(None), "Yes [1].")]
    scores = summarise(
        [grade(case, text, CHUNKS, ABSTENTION, VOICES["friendly"]) for case, text in answers]
    )
    assert (scores.abstained_wrongly, scores.abstained_rightly) == (1.0, 0.5)
    assert scores.voiced == pytest.approx(2 / 3, abs=0.001)


def _training_material() -> list[str]:
    material: list[str] = []
    for language in LANGUAGES:
        for template in read_templates(language):
            for seed in range(3):
                passage = template.drawn(random.Random(seed))
                asked = [text for f in passage.facts for text in (*f.wordings, f.statement)]
                material += [passage.title, passage.text, *passage.unanswered, *asked]
    return material
