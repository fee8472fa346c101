"""Why a training is refused before its first step, where the data is not to blame."""

from __future__ import annotations


class Refused(ValueError):
    """A training that does not begin."""

    code = "training_refused"


class RecipeUnavailable(Refused):
    """This machine cannot train so."""

    code = "recipe_unavailable"


class TrainingTooLong(Refused):
    """The training would take longer than a training may."""

    code = "training_too_long"
