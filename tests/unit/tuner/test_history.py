"""The losses of a training as a table and as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from services.tuner.history import History

LOG = [
    {"step": 1, "loss": 2.5},
    {"step": 2, "loss": 1.25},
    {"step": 2, "eval_loss": 1.5},
    {"step": 2, "train_runtime": 3.0, "train_loss": 1.9},
]


def test_the_table_has_a_line_for_each_step() -> None:
    assert History.of(LOG).table() == "step,train_loss,valid_loss\n1,2.5,\n2,1.25,1.5\n"


def test_the_picture_has_a_line_for_what_is_trained_and_a_mark_for_one_measurement() -> None:
    drawn = ET.fromstring(History.of(LOG).curve())
    kinds = [element.tag.rpartition("}")[2] for element in drawn]
    assert kinds.count("polyline") == 2
    assert kinds.count("circle") == 1


def test_a_training_without_steps_can_be_drawn() -> None:
    assert ET.fromstring(History.of([]).curve()) is not None
