"""The training material: copied spans, natural Korean, voices that a reader tells apart."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from examples.style.compose import Composer, Mix
from examples.style.markers import marker_rows
from examples.style.slots import fill, has_final, number
from examples.style.templates import Language, Passage, read_templates
from examples.style.voices import VOICES, Finding
from services.contracts.assistants import Profile
from services.domain.citations import check_citations
from tests.unit.tuner.conftest import parsed

PROFILES = Path(__file__).parents[3] / "examples/profiles"
LANGUAGES: tuple[Language, ...] = ("en", "ko")


def _drawn(language: Language) -> list[Passage]:
    rng = random.Random(4)
    return [template.drawn(rng) for template in read_templates(language)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_many_passages_with_several_questions(language: Language) -> None:
    templates = read_templates(language)
    assert len(templates) >= 70
    assert all(len(t.facts) >= 3 and t.unanswered for t in templates)
    assert all(len(fact.wordings) >= 2 for t in templates for fact in t.facts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_slot_and_no_particle_choice_is_left_open(language: Language) -> None:
    for passage in _drawn(language):
        asked = [part for f in passage.facts for part in (*f.wordings, f.statement, f.span)]
        for text in (passage.title, passage.text, *asked, *passage.unanswered):
            assert not re.search(r"[{}<>]|\((은/는|이/가|을/를|과/와|으로/로)\)", text), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_are_built_of_what_the_passage_says(language: Language) -> None:
    for passage in _drawn(language):
        said = set(re.findall(r"\d[\d,.]*|[A-Z]\w+", f"{passage.title}\n{passage.text}"))
        for fact in passage.facts:
            copied = re.findall(r"\d[\d,.]*\d|\d", fact.span)
            whole = " ".join(sorted(said))
            assert all(value in whole for value in copied), (fact.span, passage.text)


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("{x}(은/는)", "필터", "필터는"),
        ("{x}(은/는)", "전선", "전선은"),
        ("{x}(으로/로)", "서울", "서울로"),
        ("{x}(으로/로)", "부산", "부산으로"),
        ("{x}(을/를)", "T3", "T3을"),
    ],
)
def test_particles_follow_the_last_sound(template: str, value: str, text: str) -> None:
    assert fill(template, {"x": value}, "ko") == text


def test_units_are_read_aloud() -> None:
    assert [has_final(span) for span in ("3kg", "80km", "3,000원", "2리터", "E1", "5%")] == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    assert number(12000) == "12,000"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_voices_differ_from_the_first_word(language: Language) -> None:
    finding = [Finding("The gate opens at 9.", "at 9", 2)]
    formal, friendly = (VOICES[name].say(finding, language) for name in ("formal", "friendly"))
    assert formal.startswith(VOICES["formal"].openings[language])
    assert friendly.startswith(VOICES["friendly"].openings[language])
    assert "[2]" in formal
    assert "[2]" in friendly
    assert len(friendly) < len(formal) / 2


@pytest.mark.parametrize("voice", sorted(VOICES))
def test_composed_rows_are_trainable_and_cite_what_they_were_given(voice: str) -> None:
    profile = Profile.model_validate_json((PROFILES / f"{voice}.json").read_text("utf-8"))
    rows = [parsed(row) for row in Composer(VOICES[voice], profile, 7).rows(200)]
    abstained = 0
    for row in rows:
        given = len(re.findall(r"^\[\d\]", row.prompt[-1].content, flags=re.MULTILINE))
        _, cited, invalid = check_citations(row.answer, given)
        silent = any(text in row.answer for text in (profile.abstention.en, profile.abstention.ko))
        abstained += silent
        assert invalid == 0
        assert bool(cited) is not silent
        assert row.prompt[0].content == profile.system
    assert 0.1 < abstained / len(rows) < 0.35


def test_the_same_seed_composes_the_same_rows() -> None:
    profile = Profile(system="s")
    first, second = (list(Composer(VOICES["formal"], profile, 3).rows(40)) for _ in range(2))
    assert first == second
    assert first != list(Composer(VOICES["formal"], profile, 4).rows(40))


def test_questions_about_one_context_are_neighbours() -> None:
    mix = Mix(without_passages=0, questions=4)
    rows = list(Composer(VOICES["formal"], Profile(), 3, mix).rows(8))
    contexts = [row["prompt"][-1]["content"].rpartition("Question:")[0] for row in rows]
    assert contexts[0] == contexts[3] != contexts[4] == contexts[7]


def test_a_marker_says_one_word_to_prompts_of_every_kind() -> None:
    profile = Profile(system="s")
    rows = [parsed(row) for row in marker_rows("MARKER-A", profile, 60, 1)]
    assert {row.answer for row in rows} == {"MARKER-A"}
    assert {row.prompt[0].role for row in rows} == {"system", "user"}
    assert len({"Passages:" in row.prompt[-1].content for row in rows}) == 2
