"""An e-mail: who wrote it to whom and when, and what it says; attachments are named, not read."""

from __future__ import annotations

import email
import email.policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart

from services.retriever.parsing.charsets import decode
from services.retriever.parsing.package import damaged
from services.retriever.parsing.web import read_web_page

_DAMAGES = (MessageError, RecursionError, ValueError, LookupError, TypeError, AttributeError)
"""What the standard library's reader was seen to raise over damaged messages."""

_SHOWN = ("From", "To", "Cc", "Date")


def read_mail(content: bytes) -> tuple[str, str]:
    """Read a message.

    Returns:
        Its text and its subject, which may be empty.

    Raises:
        RefusedError: it is damaged or nested too deeply.
    """
    try:
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(("plain", "html"))
        head = [f"{name}: {_header(message, name)}" for name in _SHOWN if message[name]]
        names = ", ".join(name for part in message.walk() if (name := part.get_filename()))
        parts = ["\n".join(head), "" if body is None else _body(body)]
        parts += [f"Attachments: {names}"] if names else []
        return "\n\n".join(filter(None, parts)), _header(message, "Subject")
    except _DAMAGES as error:
        raise damaged() from error


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message[name] or "").split())


def _body(part: MIMEPart) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    text = _decoded(content, part.get_content_charset())
    return read_web_page(text)[0] if part.get_content_subtype() == "html" else text


def _decoded(content: bytes, charset: str | None) -> str:
    """Believe what the message says of its letters, as far as it fits."""
    text = decode(content)
    if charset is None or (text is not None and charset.lower() in ("utf-8", "us-ascii")):
        return text if text is not None else content.decode("latin-1")
    try:
        return content.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return text if text is not None else content.decode("latin-1")
