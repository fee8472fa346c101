"""Counting prompts: never too few tokens, and close."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from services.domain.rendering import Message
from services.gateway.chat_template import Overhead, measure_overhead
from services.gateway.counting import TokenCounter, open_counter

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}Answer:\n"
    "{% generation %}{{ message.content }}<end_of_turn>{% endgeneration %}\n\n"
    "{% else %}{{ message.content }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Answer:\n{% endif %}"
)
CORPUS = [
    "Refunds are possible within 30 days of delivery, unless the kettle was used.",
    "환불은 배송 후 30일 안에 가능합니다. 주전자를 사용했다면 불가능합니다.",
    "Answer:\nPassages:\n\nQuestion: how long?\n\n",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base's folder: a byte-fallback tokenizer in Gemma's manner, and its template."""
    path = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<bos>", "<eos>", "<end_of_turn>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "chat_template.jinja").write_text(TEMPLATE)
    config = {"bos_token": "<bos>", "eos_token": {"content": "<eos>"}}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    return path


def rendered(messages: list[Message]) -> str:
    parts = ["<bos>"]
    for turn in messages:
        if turn["role"] == "assistant":
            parts.append(f"Answer:\n{turn['content']}<end_of_turn>\n\n")
        else:
            parts.append(f"{turn['content']}\n\n")
    return "".join([*parts, "Answer:\n"])


CONVERSATIONS: list[list[Message]] = [
    [{"role": "user", "content": "q"}],
    [{"role": "system", "content": CORPUS[0]}, {"role": "user", "content": CORPUS[1]}],
    [
        {"role": "user", "content": f"Passages:\n[1] A\n{CORPUS[0]}\n\nQuestion: how long?"},
        {"role": "assistant", "content": "30 days [1].\n\nGood day."},
        {"role": "user", "content": "그럼 언제까지요?\r\n\r\n\n  주전자 🫖"},
    ],
    [{"role": ("user", "assistant")[i % 2], "content": "word " * i} for i in range(41)],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_a_count_is_never_below_the_truth_and_close_to_it(
    folder: Path, messages: list[Message]
) -> None:
    counter = open_counter(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    truth = len(tokenizer.encode(rendered(messages), add_special_tokens=False).ids)
    count = counter.count(messages)
    assert truth <= count <= truth * 1.1 + 4 + 3 * len(messages)
    assert counter.bound(messages) >= count


def test_the_template_is_measured(folder: Path) -> None:
    overhead = open_counter(folder).overhead
    assert overhead != Overhead()
    assert overhead.frame < 40
    assert overhead.turn < 20


def test_a_line_is_encoded_once() -> None:
    seen: list[str] = []

    def encode(text: str) -> int:
        seen.append(text)
        return len(text)

    counter = TokenCounter(encode)
    system: Message = {"role": "system", "content": "be kind\nbe brief\n"}
    for question in ("one", "two"):
        counter.count([system, {"role": "user", "content": question}])
    assert seen == ["be kind\n", "be brief\n", "one", "two"]


def test_what_is_remembered_is_bounded() -> None:
    counter = TokenCounter(len)
    for number in range(60_000):
        counter.count([{"role": "user", "content": f"line {number}"}])
    assert len(counter._recent) + len(counter._older) <= 50_000


def test_calls_of_tools_and_their_definitions_count() -> None:
    counter = TokenCounter(len)
    call: Message = {"role": "assistant", "content": "", "tool_calls": [{"id": "1" * 100}]}
    bare: Message = {"role": "assistant", "content": ""}
    assert counter.count([call]) >= counter.count([bare]) + 100
    assert counter.bound([call]) >= counter.bound([bare]) + 100
    assert counter.count_tools(None) == 0
    assert counter.count_tools([{"name": "x" * 300}]) > 300


@pytest.mark.parametrize("text", CORPUS)
def test_without_a_tokenizer_the_estimate_is_generous(folder: Path, text: str) -> None:
    estimate = open_counter(None).count([{"role": "user", "content": text}])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert estimate >= len(tokenizer.encode(text).ids) / 2
    assert estimate <= len(text.encode()) + 64


def test_a_folder_without_a_tokenizer_is_an_error_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="INKSTONE_GATEWAY_TOKENIZER_DIR"):
        open_counter(tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        None,
        "{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}",
        "{% broken",
        "{{ ''.__class__.__mro__ }}",
    ],
)
def test_a_template_that_cannot_be_measured_gets_generous_defaults(
    tmp_path: Path, source: str | None
) -> None:
    if source is not None:
        (tmp_path / "chat_template.jinja").write_text(source)
    assert measure_overhead(tmp_path, len) == Overhead()


def inline(template: Any) -> dict[str, Any]:
    return {"chat_template": template, "bos_token": "<s>"}


@pytest.mark.parametrize(
    "config",
    [
        inline("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"),
        inline(
            [
                {"name": "tool_use", "template": "x"},
                {
                    "name": "default",
                    "template": "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}",
                },
            ]
        ),
    ],
)
def test_a_template_in_the_tokenizers_configuration_is_found(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    count: Callable[[str], int] = len
    overhead = measure_overhead(tmp_path, count)
    assert overhead.turn == len("[assistant]") - 2 + 2
