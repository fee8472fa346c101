"""Texts on which a model is compared with its source: short and long, English, Korean and mixed."""

from __future__ import annotations

SAMPLE_TEXTS = (
    "How long do I have to return an item?",
    "Orders placed before two in the afternoon leave the warehouse the same day.",
    "E-1042",
    "The pump stops by itself when the tank is empty; press the red button to start it again.",
    "Who pays for shipping when a lamp arrives broken?",
    "Table 3. Torque by bolt size: M6 9.8 Nm, M8 24 Nm, M10 47 Nm.",
    "def total(prices: list[float]) -> float: return round(sum(prices), 2)",
    "She kept the letter in a drawer for forty years and never opened it.",
    "https://example.com/manual/v2?lang=en#section-4",
    (
        "A library card is free for residents. Bring a document that shows your address, choose "
        "a branch, and the card is printed while you wait. Books may be kept for three weeks and "
        "renewed twice unless another reader asks for them. Films and games may be kept for one "
        "week. A lost book is replaced at its price; a late one costs nothing, but no further "
        "books are lent until it is back. Reading rooms are open until nine in the evening, and "
        "quiet rooms can be booked a day ahead for groups of up to six people."
    ),
    "반품은 며칠 안에 해야 하나요?",
    "오후 두 시 이전에 주문하시면 당일 발송됩니다.",
    "제품이 고장 나면 구입일로부터 2년 동안 무상으로 수리해 드립니다.",
    "비밀번호를 잊어버렸을 때는 어떻게 해야 합니까?",
    "표 3. 볼트 크기별 조임 토크: M6 9.8 Nm, M8 24 Nm, M10 47 Nm.",
    "그는 사십 년 동안 그 편지를 서랍에 넣어 두고 한 번도 열어 보지 않았다.",
    "2024년 3월 1일부터 기본 요금이 59,800원으로 인상됩니다.",
    "환불",
    "API 키는 settings 페이지에서 새로 발급받을 수 있습니다.",
    (
        "도서관 회원증은 지역 주민이라면 누구나 무료로 만들 수 있습니다. "
        "주소가 적힌 신분증을 가지고 가까운 분관을 찾아오시면 그 자리에서 발급해 드립니다. "
        "책은 삼 주 동안 빌릴 수 있고, 다른 예약자가 없으면 두 번까지 연장됩니다. "
        "영화와 게임은 일주일 동안 빌릴 수 있습니다. "
        "책을 잃어버린 경우에는 같은 책으로 변상해야 하며, 늦게 반납하면 연체료는 없지만 "
        "반납할 때까지 대출이 정지됩니다. "
        "열람실은 밤 아홉 시까지 열려 있고, 여섯 명까지 쓰는 모임방은 하루 전에 예약할 수 있습니다."
    ),
    "한국어와 English가 섞인 문장도 하나의 vector가 됩니다.",
    "返品の期限はいつですか",
)
"""Written for this purpose."""
