"""When an index is laid out anew."""

from __future__ import annotations

from services.retriever.index.port import Wear
from services.retriever.tuning import TuningRule


def test_a_little_change_is_put_up_with() -> None:
    rule = TuningRule(100)
    assert not rule.is_due(Wear(points=100, changed=99))
    assert rule.is_due(Wear(points=100, changed=100))


def test_zero_is_never() -> None:
    rule = TuningRule(0)
    assert not rule.is_due(Wear(points=1000, changed=1000))
    assert not rule.is_due(Wear(points=1000, changed=1000))


def test_an_index_that_is_written_to_is_due_when_all_of_it_has_changed() -> None:
    rule = TuningRule(100)
    assert not rule.is_due(Wear(points=1000, changed=500))
    assert not rule.is_due(Wear(points=1499, changed=999))
    assert rule.is_due(Wear(points=1500, changed=1500))


def test_one_at_rest_is_due_when_a_fifth_has_changed() -> None:
    rule = TuningRule(100)
    assert not rule.is_due(Wear(points=1000, changed=200))
    assert rule.is_due(Wear(points=1000, changed=200))
    assert not TuningRule(100, _seen=199).is_due(Wear(points=1000, changed=199))


def test_one_that_failed_is_tried_again_when_as_much_again_has_changed() -> None:
    rule = TuningRule(100)
    assert rule.is_due(Wear(points=100, changed=150))
    rule.give_up()
    assert not rule.is_due(Wear(points=100, changed=150))
    assert not rule.is_due(Wear(points=200, changed=249))
    assert rule.is_due(Wear(points=200, changed=250))


def test_what_failed_before_a_restart_is_forgotten() -> None:
    rule = TuningRule(100)
    assert rule.is_due(Wear(points=100, changed=500))
    rule.give_up()
    assert rule.is_due(Wear(points=100, changed=100))
