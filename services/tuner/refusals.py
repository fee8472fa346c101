"""Why a training is refused before its first step, where the data is not to blame."""

from __future__ import annotations

from services.contracts.fine_tuning import TrainingFailure


class Refused(ValueError):
    """A training that does not begin."""

    code: TrainingFailure = TrainingFailure.FAILED


class RecipeUnavailable(Refused):
    """This machine cannot train so."""

    code = TrainingFailure.RECIPE_UNAVAILABLE


class TrainingTooLong(Refused):
    """The training would take longer than a training may."""

    code = TrainingFailure.TOO_LONG
