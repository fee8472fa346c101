"""The tiny base that the tuner's unit tests train on."""

from tests.unit.tuner.conftest import base, tokenizer

__all__ = ["base", "tokenizer"]
