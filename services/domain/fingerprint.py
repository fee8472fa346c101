"""How a base is named by its content: 12 hex over the hashes of its own files."""

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase

_NAMED_FILES = ("config.json", "tokenizer.json", "model*.safetensors")


def belongs_to_base(file_name: str) -> bool:
    """Say whether a file of the base's folder is part of what names the base."""
    return any(fnmatchcase(file_name, pattern) for pattern in _NAMED_FILES)


def base_fingerprint(files: Iterable[tuple[str, str]]) -> str:
    """Name a base from its files' names and sha256; hashing them is the caller's work.

    Files that do not belong to the base are left out, and the order does not matter.
    """
    lines = sorted(f"{name} {digest}" for name, digest in files if belongs_to_base(name))
    if not lines:
        raise ValueError("no file names this base: config.json and model*.safetensors are missing")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def chat_template_hash(template: str) -> str:
    """Name a chat template by its text: 12 hex of sha256."""
    return hashlib.sha256(template.encode()).hexdigest()[:12]
