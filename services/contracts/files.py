"""`/v1/files` in OpenAI's shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.wire import Wire

Purpose = Literal["assistants", "batch", "fine-tune", "user_data", "vision"]
"""What a caller's file is for."""

KeptPurpose = Literal[Purpose, "fine-tune-results"]
"""What a file is for, those that a training leaves behind included."""

FileName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
"""A file's own name in any script, without folders and control characters."""

FileId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""What names a file: letters, digits, `-` and `_`."""


class FileWrite(Wire):
    """The form fields beside the file."""

    purpose: Purpose
    expires_after_seconds: Annotated[int | None, Field(ge=3600, le=2_592_000)] = None
    """`expires_after[seconds]`: an hour to 30 days after the upload."""


class FileObject(Wire):
    """A stored file, without its bytes."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: KeptPurpose
    status: Literal["uploaded", "processed", "error"] = "processed"
    status_details: str | None = None


class FilePage(Wire):
    """One page of the tenant's files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
