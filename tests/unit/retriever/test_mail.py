"""E-mails to text."""

from __future__ import annotations

import base64
from email.message import EmailMessage

import pytest

from services.retriever.parsing.mail import read_mail
from services.retriever.parsing.outcomes import RefusedError


def message(body: str, subtype: str = "plain", charset: str = "utf-8") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "김철수 <kim@example.com>"
    mail["To"] = "lee@example.com"
    mail["Date"] = "Fri, 01 Mar 2024 09:30:00 +0900"
    mail["Subject"] = "반품 문의"
    mail.set_content(body, subtype=subtype, charset=charset)
    return mail


@pytest.mark.parametrize("charset", ["utf-8", "cp949", "iso-2022-kr"])
def test_a_message_says_who_when_and_what_in_any_charset(charset: str) -> None:
    text, title = read_mail(message("우산을 반품합니다.", charset=charset).as_bytes())
    assert title == "반품 문의"
    assert text.startswith("From: 김철수 <kim@example.com>\nTo: lee@example.com\nDate: ")
    assert text.rstrip().endswith("우산을 반품합니다.")


def test_a_charset_that_does_not_fit_is_not_believed() -> None:
    body = base64.b64encode("우산을 반품합니다. 배송비는 누가 냅니까?".encode("cp949")).decode()
    raw = (
        "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=no-such\n"
        f"Content-Transfer-Encoding: base64\n\n{body}\n"
    )
    for charset in ("no-such", "utf-8"):
        assert "우산을" in read_mail(raw.replace("no-such", charset).encode())[0]


def test_the_plain_form_is_taken_and_otherwise_the_web_form() -> None:
    both = message("평문")
    both.add_alternative("<p>웹</p>", subtype="html")
    assert read_mail(both.as_bytes())[0].rstrip().endswith("평문")
    web = message("<p>R&amp;D <b>예산</b></p>", subtype="html")
    assert read_mail(web.as_bytes())[0].rstrip().endswith("R&D 예산")


def test_attachments_are_named_and_not_read() -> None:
    mail = message("첨부합니다.")
    mail.add_attachment(b"secret", maintype="application", subtype="pdf", filename="견적서.pdf")
    text, _ = read_mail(mail.as_bytes())
    assert text.endswith("Attachments: 견적서.pdf")
    assert "secret" not in text


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe\x00", b"no header at all", b"Content-Type: multipart/x\n\n"]
)
def test_what_is_hardly_a_message_ends_well(raw: bytes) -> None:
    assert isinstance(read_mail(raw)[0], str)


def test_a_message_in_a_message_without_end_is_refused() -> None:
    layers = b"Content-Type: message/rfc822\n\n" * 4000
    with pytest.raises(RefusedError):
        read_mail(layers + b"Subject: x\n\nbody")
