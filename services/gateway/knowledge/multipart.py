"""Writing a form with one file, without holding the file in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex


@dataclass(frozen=True, slots=True)
class FileForm:
    """A form of text fields and one file in the field `files`."""

    fields: Mapping[str, str]
    filename: str
    """Without control characters."""
    content: AsyncIterator[bytes]
    boundary: str = field(default_factory=lambda: token_hex(16))

    @property
    def content_type(self) -> str:
        """The form's media type."""
        return f"multipart/form-data; boundary={self.boundary}"

    async def body(self) -> AsyncIterator[bytes]:
        """Write the form piece by piece."""
        for name, value in self.fields.items():
            yield self._head(f'name="{name}"') + value.encode() + b"\r\n"
        quoted = self.filename.replace("\\", "\\\\").replace('"', '\\"')
        yield self._head(f'name="files"; filename="{quoted}"')
        async for piece in self.content:
            yield piece
        yield f"\r\n--{self.boundary}--\r\n".encode()

    def _head(self, disposition: str) -> bytes:
        return (
            f"--{self.boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
        ).encode()
