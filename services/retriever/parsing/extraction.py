"""The parsing library, called the one way that suits: no cache on disk, no OCR."""

from __future__ import annotations

from typing import Any

import kreuzberg

from services.retriever.parsing.outcomes import FileCode, RefusedError
from services.retriever.parsing.package import damaged


def extract(content: bytes, media_type: str, **options: Any) -> Any:
    """Extract a file's text.

    Raises:
        RefusedError: it is locked or damaged.
    """
    chosen = {"use_cache": False, "disable_ocr": True, **options}
    try:
        return kreuzberg.extract_bytes_sync(
            content, media_type, kreuzberg.ExtractionConfig(**chosen)
        )
    except kreuzberg.KreuzbergError as error:
        if "password" in str(error).lower():
            raise locked() from error
        raise damaged() from error


def locked() -> RefusedError:
    """Say that a file needs a password."""
    return RefusedError(
        FileCode.ENCRYPTED, "The file is locked with a password; send it without one."
    )
