"""A style classifier as it lies in its file: numbers only, so that reading it runs nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.contracts.wire import Wire

Label = Annotated[str, Field(min_length=1, max_length=64)]


class StyleRow(Wire):
    """One line of style data."""

    text: Annotated[str, Field(min_length=1, max_length=32_768)]
    label: Label


class StyleModel(Wire):
    """A linear classifier on pieces of text: one weight for each piece and label."""

    object: Literal["style.model"] = "style.model"
    labels: Annotated[list[Label], Field(min_length=2, max_length=64)]
    bias: list[float]
    """By label."""
    weights: dict[str, list[float]]
    """By piece, then by label."""
    rows: int
    """What it was trained on."""
    held_out: int
    """Rows that judged it."""
    accuracy: float
    """On those, by a classifier that had not seen them."""

    @model_validator(mode="after")
    def _is_whole(self) -> StyleModel:
        count = len(self.labels)
        if len(self.bias) != count or any(len(each) != count for each in self.weights.values()):
            raise ValueError("a style model has one weight for each label")
        return self
