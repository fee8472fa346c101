"""What has a private form is taken out, in Korean and English; other text stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.redaction import redacted

PRIVATE = {
    "email": ["kim.min+work@example.co.kr", "A_B%c@sub.example.com"],
    "phone": [
        "010-1234-5678",
        "01012345678",
        "010 1234 5678",
        "010.1234.5678",
        "011-234-5678",
        "02-123-4567",
        "(02) 1234-5678",
        "031-123-4567",
        "070-1234-5678",
        "+82-10-1234-5678",
        "+82 (0)10-1234-5678",
        "82-10-1234-5678",
        "０１０－１２３４－５６７８",
        "010–1234–5678",
        "(415) 555-0132",
        "415-555-0132",
        "+44 20 7946 0958",
        "+1 415 555 0132",
    ],
    "resident number": ["900101-1234567", "9001011234567", "051231 4234567", "900101-5234567"],
    "card": ["4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005"],
    "secret": [
        "sk-proj-abcdefghijklmnop1234",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "xoxb-1234567890-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ink_abcdEFGH_" + "x" * 43,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    ],
}
SAMPLES = [(kind, sample) for kind, samples in PRIVATE.items() for sample in samples]


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
@pytest.mark.parametrize("sentence", ["제 것은 {}입니다.", "Mine is {}, thanks.", "{}", "({})로요"])
def test_what_is_private_is_taken_out_of_any_sentence(
    kind: str, sample: str, sentence: str
) -> None:
    assert redacted(sentence.format(sample)) == sentence.format(f"[{kind}]")


def test_an_area_code_with_half_a_bracket_is_part_of_the_number() -> None:
    assert redacted("전화 031)123-4567") == "전화 [phone]"


def test_a_token_after_bearer_is_a_secret() -> None:
    said = redacted("curl -H 'Authorization: Bearer abcdef0123456789XYZ' /v1")
    assert said == "curl -H 'Authorization: Bearer [secret]' /v1"


@pytest.mark.parametrize(
    "text",
    [
        "환불은 2026-11-22까지 30일 안에 됩니다.",
        "주문 번호 4111111111111112, 1588-1234로 전화하세요.",
        "우편 번호 04524, 값은 1,234,567원, 3.14159265358979",
        "Version 10.0.19045 of 2024-01-15 at 12:30:45 costs $1234.56.",
        "user@localhost, @mention, sk-short, a@b",
        "991301-1234567",
        "ISO 8601: 20261122T103413Z",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redacted(text) == text


def test_everything_in_one_text_goes() -> None:
    text = "\n".join(f"하나: {sample}" for _, sample in SAMPLES)
    said = redacted(text)
    assert not any(sample in said for _, sample in SAMPLES)
    assert said == "\n".join(f"하나: [{kind}]" for kind, _ in SAMPLES)


@given(st.text(alphabet=st.sampled_from("0123456789-+(). @abcde.kr[]김０１９\n"), max_size=80))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once
