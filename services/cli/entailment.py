"""A model of entailment: any sentence-transformers `CrossEncoder` that was trained on NLI."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from services.cli.failures import CommandError
from services.domain.evaluation.support import Entails

REMEMBERED = 10_000
"""Pairs whose outcome is kept: repeats of a case ask the same."""


def open_entailment(name: str) -> Entails:
    """Load a model; a text longer than it reads is cut at its end.

    Args:
        name: a folder, or the model's name on a hub that is reachable.

    Raises:
        CommandError: it is not there, or tells no entailment.
    """
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise CommandError(f"{name} is no folder; name a CrossEncoder's folder.")
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise CommandError(
            "A model of entailment needs sentence-transformers; install the extra `retriever`."
        ) from error
    try:
        model: Any = CrossEncoder(str(Path(name).expanduser()) if "~" in name else name)
    except (OSError, ValueError) as error:
        raise CommandError(f"{name} cannot be loaded: {error}") from error
    place = _entailment_of(name, model)

    @lru_cache(maxsize=REMEMBERED)
    def entails(text: str, claim: str) -> bool:
        scores = model.predict([(text, claim)], show_progress_bar=False)[0]
        return int(scores.argmax()) == place

    return entails


def _entailment_of(name: str, model: Any) -> int:
    """Find which of the model's outputs says that the text entails the claim."""
    labels = {int(n): str(label).lower() for n, label in model.config.id2label.items()}
    found = [n for n, label in labels.items() if label.startswith("entail")]
    if len(found) != 1:
        told = ", ".join(labels.values())
        raise CommandError(
            f"{name} tells {told}; a model of entailment has one label that says `entailment`."
        )
    return found[0]
