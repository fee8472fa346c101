"""What the demo asks, without the stack that it asks."""

from __future__ import annotations

from services.cli.demo import questions


def test_the_demo_asks_in_both_languages_and_once_what_no_document_answers() -> None:
    asked = questions()
    assert {label for label, _ in asked} == {"English", "한국어", "Not in the documents"}
    assert all(question.endswith("?") for _, question in asked)
