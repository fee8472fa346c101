"""The folder that ONNX Runtime serves an embedding model from, and what it says of itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
MANIFEST_FILE = "inkstone.json"

_BLOCK = 1024 * 1024
_FINGERPRINT_DIGITS = 12


class Likeness(BaseModel):
    """How near the vectors are to those of the model in floats: cosines over a set of texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: int
    mean: float
    least: float


class OnnxManifest(BaseModel):
    """What the folder holds and how it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    """How the vectors are made of the source."""
    source: str
    """SHA-256 of the file that the model was made of."""
    files: dict[str, str]
    """SHA-256 of each other file of the folder; empty when the model was refused."""
    dimensions: int
    max_tokens: int
    padding: int
    """The token that fills up short texts."""
    prompts: dict[str, str]
    """What comes before a text, by the text's kind."""
    likeness: Likeness
    accepted: bool
    """Whether the likeness was good enough to serve."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that name what makes the vectors: the source, and the recipe.

        The files themselves are left out: another version of the library that writes them may
        order them differently, and gives the same vectors.
        """
        named = f"onnx\0{self.recipe}\0{self.source}"
        return hashlib.sha256(named.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def read_manifest(folder: Path) -> OnnxManifest | None:
    """Read what a folder says of itself; None when it is not there, torn or damaged."""
    try:
        manifest = OnnxManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        whole = all(hash_of(folder / name) == known for name, known in manifest.files.items())
    except (OSError, ValidationError):
        return None
    return manifest if whole else None


def hash_of(path: Path) -> str:
    """Give the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
