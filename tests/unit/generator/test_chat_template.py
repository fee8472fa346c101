"""The packaged base's chat template, rendered as the engine and the trainer render it."""

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from services.generator import gemma
from services.generator.gguf_file import GgufFile
from services.generator.packaged_base import chat_template
from tests.unit.generator.gguf_writing import write_gguf

QUESTION = [
    {"role": "system", "content": "abc"},
    {"role": "user", "content": "한국"},
    {"role": "assistant", "content": "ab"},
    {"role": "user", "content": "c"},
]
ANSWER = {"role": "assistant", "content": "cab [1]"}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    path = tmp_path_factory.mktemp("template") / "tiny.gguf"
    write_gguf(path)
    with GgufFile(Path(path)) as file:
        wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=gemma.tokenizer(file.metadata), bos_token="<bos>", eos_token="<eos>"
        )
    wrapped.chat_template = chat_template()
    return wrapped


def test_a_conversation_is_plain_text_with_one_bos(tokenizer: PreTrainedTokenizerFast) -> None:
    text = tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    assert text == "<bos>abc\n\n한국\n\nAnswer:\nab<end_of_turn>\n\nc\n\nAnswer:\n"


def test_the_prompt_is_a_token_prefix_of_the_whole_turn(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*QUESTION, ANSWER], return_dict=False)
    assert whole[: len(prompt)] == prompt
    assert prompt.count(tokenizer.bos_token_id) == 1


def test_what_is_learnt_is_the_answers_and_their_ends(tokenizer: PreTrainedTokenizerFast) -> None:
    marked: Any = tokenizer.apply_chat_template(
        [*QUESTION, ANSWER], return_dict=True, return_assistant_tokens_mask=True
    )
    learnt = [t for t, m in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(learnt) == "ab<end_of_turn>cab [1]<end_of_turn>"
