"""Messages between versions: what is asked is read strictly, what is answered leniently."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.contracts.wire import Wire


class Inner(Wire):
    number: int


class Outer(Wire):
    inner: Inner
    several: tuple[Inner, ...] = ()


NEWER: dict[str, Any] = {
    "inner": {"number": 1, "later": True},
    "several": [{"number": 2, "later": {"a": 1}}],
    "later": "x",
}
KNOWN = Outer(inner=Inner(number=1), several=(Inner(number=2),))


def test_what_a_newer_version_answers_is_read_without_what_is_new() -> None:
    assert Outer.received(NEWER) == KNOWN
    assert Outer.received(json.dumps(NEWER)) == KNOWN
    assert Outer.received(json.dumps(NEWER).encode()) == KNOWN


@pytest.mark.parametrize("where", ["inner", "several", "later"])
def test_what_is_asked_with_an_unknown_field_is_refused(where: str) -> None:
    known: dict[str, Any] = {"inner": {"number": 1}, "several": [{"number": 2}]}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Outer.model_validate({**known, where: NEWER[where]})


def test_an_answer_that_lacks_something_is_still_refused() -> None:
    with pytest.raises(ValidationError):
        Outer.received({"several": []})
