"""A clean training file in two languages, made here, to plant defects in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from services.contracts.datasets import DatasetPolicy, DatasetReport
from services.domain.datasets.gate import Surroundings, checked

SYSTEM = "Answer in one short sentence. 한 문장으로 답하세요."
THINGS = ("kettle", "lamp", "chair", "radio", "clock", "scarf", "drum", "boat", "flute", "kite")
PLACES = ("Bristol", "Seoul", "Oslo", "Lima", "Porto", "Busan", "Cork", "Turin", "Quito", "Leeds")
KOREAN_THINGS = ("주전자", "전등", "의자", "라디오", "시계", "목도리", "북", "배", "피리", "연")
KOREAN_PLACES = ("서울", "부산", "대전", "광주", "제주", "강릉", "전주", "여수", "안동", "속초")


def chat(question: str, answer: str, system: str | None = SYSTEM) -> dict[str, Any]:
    """One row in OpenAI's shape."""
    first = [] if system is None else [{"role": "system", "content": system}]
    asked = {"role": "user", "content": question}
    return {"messages": [*first, asked, {"role": "assistant", "content": answer}]}


def clean_rows() -> list[dict[str, Any]]:
    """200 rows that differ."""
    rows = []
    for thing, it in zip(THINGS, KOREAN_THINGS, strict=True):
        for place, there in zip(PLACES, KOREAN_PLACES, strict=True):
            rows.append(
                chat(f"Is the {thing} sold in {place}?", f"Yes, {place} has the {thing} in stock.")
            )
            rows.append(
                chat(f"{there} 매장에 {it} 있나요?", f"네, {it}은 {there} 매장에서 보실 수 있어요.")
            )
    return rows


def lines_of(rows: Sequence[Any]) -> list[bytes]:
    """Write rows as a file has them; text is taken as it is."""
    return [
        (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)).encode() + b"\n"
        for row in rows
    ]


def report_of(
    rows: Sequence[Any], around: Surroundings | None = None, **policy: Any
) -> DatasetReport:
    """Check rows."""
    return checked(lines_of(rows), around or Surroundings(), DatasetPolicy(**policy))
