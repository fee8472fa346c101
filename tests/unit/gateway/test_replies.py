"""From the engine's answer to the reply: the same text and citations, streamed or whole."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from services.contracts.assistants import Abstention
from services.gateway.accounts import Usage
from services.gateway.replies import Marking, Reply
from tests.fakes.retriever import passage

PASSAGES = (
    passage("30일 안에 환불됩니다.", document_id="환불 규정", title="환불", uri=""),
    passage("Postage is ours."),
)
ENVELOPE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "x@1"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
BLOCK = {"request_id": "1"}


def reply(marking: Marking = Marking.MARKERS) -> Reply:
    return Reply("support", PASSAGES, marking, Usage())


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": fields, "logprobs": None, "finish_reason": finish}
    return {**ENVELOPE, "choices": [choice]}


def events(*pieces: str) -> list[dict[str, Any]]:
    opened = delta(role="assistant", content="")
    middle = [delta(content=piece) for piece in pieces]
    closed = delta(content="", finish="stop")
    return [opened, *middle, closed, {**ENVELOPE, "choices": [], "usage": USAGE}]


def streamed(made: Reply, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chunks = [c for event in sent if (c := made.chunk(copy.deepcopy(event))) is not None]
    return [*chunks, made.last_chunk(BLOCK)]


def text_of(chunks: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


def test_an_answer_is_weighed_by_the_sentences_that_cite() -> None:
    made = reply()
    streamed(made, events("고맙습니다. 30일 안에 환불됩니다 [1]", ". Postage costs 5 pounds [2]."))
    made.weigh()
    assert made.support is not None
    assert made.support.of_answer == 0.5
    assert dict(made.support.of_passages) == {1: 1.0, 2: 0.0}


def test_an_answer_in_json_is_not_weighed() -> None:
    made = reply(Marking.FIELD)
    streamed(made, events('{"answer": "30일 [1]", "citations": [1]}'))
    made.weigh()
    assert made.cited == [1]
    assert made.support is None


def whole(made: Reply, *texts: str | None) -> dict[str, Any]:
    made.read(
        {
            **ENVELOPE,
            "object": "chat.completion",
            "choices": [
                {
                    "index": i,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
                for i, text in enumerate(texts)
            ],
            "usage": USAGE,
            "prompt_logprobs": None,
            "kv_transfer_params": None,
        }
    )
    return made.body(BLOCK)


def test_every_chunk_bears_the_assistants_name_and_the_client_accepts_it() -> None:
    chunks = streamed(reply(), events("Thirty", " days [1]."))
    assert {chunk["model"] for chunk in chunks} == {"support"}
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    assert text_of(chunks) == "Thirty days [1]."


def test_the_last_chunk_carries_usage_citations_and_block() -> None:
    last = streamed(reply(), events("Ours [2], [1] and [2]."))[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 10
    assert last["inkstone"] == BLOCK
    assert [citation["n"] for citation in last["citations"]] == [2, 1]
    assert last["citations"][1]["document_id"] == "환불 규정"


def test_usage_stands_in_the_last_chunk_only() -> None:
    sent = events("Thirty days.")
    for event in sent:
        event["usage"] = USAGE
    chunks = streamed(reply(), sent)
    assert [("usage" in chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_marker_of_no_passage_is_cut_out_of_a_stream() -> None:
    made = reply()
    chunks = streamed(made, events("Thirty days", " [", "9", "]", "."))
    assert text_of(chunks) == "Thirty days."
    assert (made.cited, made.invalid) == ([], 1)


def test_a_piece_that_is_held_back_makes_no_chunk() -> None:
    made = reply()
    made.chunk(delta(role="assistant", content="Yes"))
    assert made.chunk(delta(content=" [")) is None
    shown = made.chunk(delta(content="1]"))
    assert shown is not None
    assert shown["choices"][0]["delta"]["content"] == " [1]"


def test_what_is_held_back_at_the_end_is_not_lost() -> None:
    assert text_of(streamed(reply(), events("Open", " [1"))) == "Open [1"


def test_leading_white_space_goes() -> None:
    chunks = streamed(reply(), events("\n", " ", " [9]", " Thirty", " days."))
    assert text_of(chunks) == "Thirty days."


def test_log_probabilities_pass_even_with_a_held_piece() -> None:
    made = reply()
    event = delta(content=" [")
    event["choices"][0]["logprobs"] = {"content": [{"token": " ["}]}
    assert made.chunk(event) is not None


def test_tool_calls_pass_untouched() -> None:
    call = {"index": 0, "id": "1", "type": "function", "function": {"arguments": '{"a":[9]}'}}
    made = reply()
    shown = made.chunk(delta(role="assistant", content=None, tool_calls=[call]))
    assert shown is not None
    assert shown["choices"][0]["delta"]["tool_calls"] == [call]
    assert shown["choices"][0]["delta"]["content"] is None


def test_several_choices_are_kept_apart() -> None:
    made = reply()
    sent = [
        delta(0, content="One ["),
        delta(1, content="Two [1"),
        delta(0, content="9]."),
        delta(1, content="]!"),
        delta(0, finish="stop"),
        delta(1, finish="length"),
    ]
    chunks = streamed(made, sent)
    assert text_of(chunks, 0) == "One."
    assert text_of(chunks, 1) == "Two [1]!"
    assert (made.cited, made.invalid) == ([1], 1)


def test_usage_so_far_counts_every_choice() -> None:
    made = reply()
    for index, tokens in ((0, 1), (1, 1), (0, 2)):
        event = delta(index, content="x")
        event["usage"] = {"prompt_tokens": 7, "completion_tokens": tokens}
        made.chunk(event)
    assert (made.usage.prompt, made.usage.completion) == (7, 3)


def test_a_whole_answer_is_what_the_client_expects() -> None:
    body = whole(reply(), "\n Thirty days [1], not forty [4].")
    parsed = ChatCompletion.model_validate(body)
    assert parsed.model == "support"
    assert parsed.choices[0].message.content == "Thirty days [1], not forty."
    assert parsed.usage is not None
    assert parsed.usage.total_tokens == 10
    assert not {"prompt_logprobs", "kv_transfer_params"} & body.keys()


def test_annotations_say_where_the_markers_stand() -> None:
    body = whole(reply(), "환불 [1] and postage [2, 1].")
    message = body["choices"][0]["message"]
    text = message["content"]
    noted = [a["url_citation"] for a in message["annotations"]]
    assert [text[n["start_index"] : n["end_index"]] for n in noted] == ["[1]", "[2, 1]", "[2, 1]"]
    assert noted[0]["url"] == "inkstone:handbook/%ED%99%98%EB%B6%88%20%EA%B7%9C%EC%A0%95"
    assert noted[1]["url"] == "https://example.com/handbook"
    parsed = ChatCompletion.model_validate(body).choices[0].message.annotations
    assert parsed is not None
    assert parsed[0].url_citation.title == "환불"


def test_the_last_delta_of_a_choice_carries_its_annotations() -> None:
    chunks = streamed(reply(), events("Yes [1]."))
    closing = chunks[-2]["choices"][0]
    assert closing["finish_reason"] == "stop"
    assert closing["delta"]["annotations"][0]["url_citation"]["start_index"] == 4


def test_without_retrieval_brackets_are_just_text() -> None:
    made = Reply("base", (), Marking.NONE, Usage())
    assert whole(made, "x = a[1]")["choices"][0]["message"]["content"] == "x = a[1]"
    assert made.cited == []


def test_json_is_never_cut_into() -> None:
    made = reply(Marking.FIELD)
    answer = '{"answer": "30 days [9]", "numbers": [7], "citations": [2, 5, 2, true, "1"]}'
    assert whole(made, answer)["choices"][0]["message"]["content"] == answer
    assert (made.cited, made.invalid) == ([2], 1)


@pytest.mark.parametrize("text", ["{broken", "[1]", '{"citations": "1"}', "3", "", None])
def test_json_without_citations_cites_nothing(text: str | None) -> None:
    made = reply(Marking.FIELD)
    whole(made, text)
    assert (made.cited, made.invalid) == ([], 0)


ABSTENTION = Abstention(en="I do not know.", ko="모르겠습니다.")


@pytest.mark.parametrize(
    ("texts", "abstains"),
    [
        (["Sorry! I do not know. Ask us."], True),
        (["죄송합니다. 모르겠습니다."], True),
        (["Thirty days."], False),
        (["I do not know.", "Thirty days."], False),
        ([None], False),
    ],
)
def test_an_answer_that_says_so_abstains(texts: list[str | None], abstains: bool) -> None:
    made = reply()
    whole(made, *texts)
    assert made.abstains(ABSTENTION) is abstains


def test_an_empty_sentence_is_in_no_answer() -> None:
    made = reply()
    whole(made, "Thirty days.")
    assert not made.abstains(Abstention(en="", ko=" "))


TEXTS = st.text(alphabet="가a [],.\n0123456789", max_size=60)


@given(TEXTS, st.lists(st.integers(0, 60), max_size=8))
def test_a_stream_says_what_the_whole_answer_says(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    as_stream, as_body = reply(), reply()
    chunks = streamed(as_stream, events(*pieces))
    body = whole(as_body, text)
    message = body["choices"][0]["message"]
    assert text_of(chunks) == (message["content"] or "")
    assert chunks[-1]["citations"] == body["citations"]
    assert chunks[-2]["choices"][0]["delta"]["annotations"] == message["annotations"]
    assert (as_stream.cited, as_stream.invalid) == (as_body.cited, as_body.invalid)


@pytest.mark.parametrize("choice", [{"index": 0}, {"delta": None, "message": None}])
def test_an_engine_that_leaves_fields_out_breaks_nothing(choice: dict[str, Any]) -> None:
    assert reply().chunk({**ENVELOPE, "choices": [dict(choice)]}) is not None
    made = reply()
    made.read({**ENVELOPE, "choices": [dict(choice)]})
    assert made.body(BLOCK)["usage"]["total_tokens"] == 0
    empty = reply()
    empty.read({})
    assert empty.body(BLOCK)["citations"] == []


STEPS = "첫째, [9]를 본다. Final answer: 30일 [1][7]"


@pytest.mark.parametrize("cuts", [(), (5,), (18, 25, 33), tuple(range(1, len(STEPS)))])
def test_steps_are_hidden_from_a_stream_and_their_citations_do_not_count(
    cuts: tuple[int, ...],
) -> None:
    made = Reply("support", PASSAGES, Marking.MARKERS, Usage(), "hidden")
    places = (0, *cuts, len(STEPS))
    chunks = streamed(made, events(*(STEPS[a:b] for a, b in itertools.pairwise(places))))
    assert text_of(chunks) == "30일 [1]"
    assert (made.cited, made.invalid) == ([1], 1)
    assert "첫째" not in str(chunks)


def test_steps_are_told_once_where_the_app_asks_for_them() -> None:
    made = Reply("support", PASSAGES, Marking.MARKERS, Usage(), "shown")
    chunks = streamed(made, events(*STEPS))
    told = [c["delta"].get("reasoning") for chunk in chunks for c in chunk["choices"]]
    assert [text for text in told if text] == ["첫째, [9]를 본다."]
    body = whole(Reply("support", PASSAGES, Marking.MARKERS, Usage(), "shown"), STEPS)
    message = body["choices"][0]["message"]
    assert (message["content"], message["reasoning"]) == ("30일 [1]", "첫째, [9]를 본다.")


def test_probabilities_of_hidden_steps_are_not_told() -> None:
    sent = events("Think. ", "Final answer: yes")
    for event in sent[:-1]:
        event["choices"][0]["logprobs"] = {"content": [{"token": "Think"}]}
    hidden = Reply("support", PASSAGES, Marking.NONE, Usage(), "hidden")
    assert "Think" not in str(streamed(hidden, sent))


def test_a_reply_without_the_marker_is_shown_whole() -> None:
    made = Reply("support", PASSAGES, Marking.MARKERS, Usage(), "hidden")
    assert text_of(streamed(made, events("Thirty", " days [1]."))) == "Thirty days [1]."
    assert made.cited == [1]
