"""How well follow-up questions are found: as they were said, and made standalone without a model.

Two sets, both through the real embedding model and the embedded index.

*Own* conversations (`follow_up_conversations.jsonl`, over `examples/corpus`, English and Korean):
an answer is found when one of the first three passages holds it.

*CAsT* conversations, if `--data` names them: a TSV of conversation, turn, raw utterance and the
standalone question that people wrote for it (TREC CAsT, https://github.com/daltonj/treccastweb,
which is not part of this repository). Three figures for every turn but a conversation's first:

- `alone`: the written questions are the documents, and the turn's own must come first. The raw
  utterance shares nearly all its words with its own rewriting, so this measures mostly how little
  a query was changed.
- `rivals`: every rewritten question stands there about other conversations' subjects as well
  ("What are Netflix's symptoms?"), as a corpus that says the same things of many subjects. Only a
  query that knows its subject wins.
- `cosine`: of the query's vector and that of the written question.

`rewrite` has an engine write the standalone question of our own conversations, as the gateway asks
it to, without answers between the questions; what is no question is joined by rules.

    python benchmarks/follow_up.py [--data FILE] [--models-dir DIR] [--rivals 8]
        [--engine URL --engine-key KEY --base NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import random
import statistics
import tempfile
import timeit
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from services.contracts.knowledge import CollectionSearch, DocumentWrite, Passage
from services.domain import follow_up
from services.domain.follow_up import leans
from services.domain.language import language_of
from services.gateway.rewriting import read_rewrite, rewriting_messages
from services.gateway.settings import RewriteCalls
from services.retriever.catalogue.records import Caller, Place
from services.retriever.resources import Resources, open_resources
from services.retriever.settings import Settings

HERE = Path(__file__).parent
CORPUS = HERE.parent / "examples" / "corpus"
CALLER = Caller("benchmark", (), curator=False)
DEPTH = 50
LIMIT = 2000
SHOWN = 8
"""Rewritten questions that are printed."""

SEEN = 3
"""How many passages an assistant reads by default."""

Strategy = Callable[[Sequence[str]], str]
"""From the user's questions so far, oldest first, to what is searched for."""

STRATEGIES: dict[str, Strategy] = {
    "raw": lambda asked: asked[-1],
    "always last": lambda asked: " ".join(asked[-2:]),
    "always all": " ".join,
    "join": lambda asked: follow_up.standalone(asked, limit=LIMIT),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of a conversation."""

    raw: str
    written: str
    """The standalone question that people wrote."""

    @property
    def changed(self) -> bool:
        """Whether it needed rewriting."""
        return self.raw != self.written


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation over the sample corpus, and where the last turn's answer stands."""

    turns: list[str]
    document: str
    says: str

    def answered_by(self, passage: Passage) -> bool:
        """Tell whether a passage holds the answer."""
        return passage.document_id == self.document and self.says in passage.text


def main() -> int:
    """Index, ask, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a TSV of CAsT conversations")
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--rivals", type=int, default=8, help="other subjects for each question")
    parser.add_argument("--engine", help="the address of an engine that holds the base")
    parser.add_argument("--engine-key", default="")
    parser.add_argument("--base", default="base", help="what the engine calls it")
    chosen = parser.parse_args()
    data = chosen.data if chosen.data and chosen.data.exists() else None
    asyncio.run(_measure(data, chosen))
    return 0


async def _measure(data: Path | None, chosen: argparse.Namespace) -> None:
    own = read_own()
    strategies = dict(STRATEGIES)
    if chosen.engine:
        strategies["rewrite"] = await _rewriting(chosen, own)
    cast = read_cast(data) if data else {}
    _print_cost([conversation.turns for conversation in own])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            api_key=SecretStr("benchmark"), data_dir=Path(folder), models_dir=chosen.models_dir
        )
        async with open_resources(settings, CollectorRegistry()) as resources:
            await measure_own(resources, own, strategies)
            if cast:
                await measure_cast(resources, cast, chosen.rivals, STRATEGIES)
            else:
                print("\nCAsT is left out: --data names no file of it.")


async def _rewriting(chosen: argparse.Namespace, own: Sequence[Conversation]) -> Strategy:
    """Have the engine write every last question; print how long it took and how often it did."""
    written: dict[tuple[str, ...], str] = {}
    took: list[float] = []
    headers = {"Authorization": f"Bearer {chosen.engine_key}"}
    async with aiohttp.ClientSession(chosen.engine, headers=headers) as session:
        for conversation in own:
            body = {
                "model": chosen.base,
                "messages": rewriting_messages(
                    [{"role": "user", "content": asked} for asked in conversation.turns]
                ),
                "temperature": 0.0,
                "max_tokens": RewriteCalls().max_tokens,
                "stop": ["\nConversation:"],
            }
            started = timeit.default_timer()
            async with session.post("/v1/chat/completions", json=body) as reply:
                question = read_rewrite(await reply.json(), conversation.turns[-1])
            took.append((timeit.default_timer() - started) * 1000)
            if question is not None:
                written[tuple(conversation.turns)] = question
    print(
        f"rewriting: {len(written)} of {len(own)} written, median {statistics.median(took):.0f} ms,"
        f" slowest {max(took):.0f} ms"
    )
    for asked, question in [*written.items()][:: max(len(written) // SHOWN, 1)]:
        print(f"  {' | '.join(asked)} -> {question}")
    return lambda asked: written.get(tuple(asked)) or STRATEGIES["join"](asked)


def read_own() -> list[Conversation]:
    """Read the conversations over the sample corpus."""
    lines = (HERE / "follow_up_conversations.jsonl").read_text(encoding="utf-8").splitlines()
    return [Conversation(**json.loads(line)) for line in lines]


def read_cast(file: Path) -> dict[str, list[Turn]]:
    """Read CAsT conversations by their number."""
    found: dict[str, list[Turn]] = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        conversation, _, raw, written = line.split("\t")
        found[conversation].append(Turn(raw, written))
    return found


async def measure_own(
    resources: Resources, own: Sequence[Conversation], strategies: Mapping[str, Strategy]
) -> None:
    """Ask the last turns over the sample corpus."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in CORPUS.glob("*.md")}
    await _index(resources, "own", texts)
    print(f"\n{'own, hit@1 / hit@3':20}{'en':>16}{'ko':>16}")
    for name, strategy in strategies.items():
        first: dict[str, list[bool]] = defaultdict(list)
        among: dict[str, list[bool]] = defaultdict(list)
        for conversation in own:
            found = await _found(resources, "own", strategy(conversation.turns), SEEN)
            hits = [conversation.answered_by(passage) for passage in found]
            language = language_of(conversation.turns[-1])
            first[language].append(hits[:1] == [True])
            among[language].append(any(hits))
        cells = (f"{_mean(first[at]):.3f} / {_mean(among[at]):.3f}" for at in ("en", "ko"))
        print(f"{name:20}", *(f"{cell:>15}" for cell in cells))


async def measure_cast(
    resources: Resources,
    cast: Mapping[str, Sequence[Turn]],
    rivals: int,
    strategies: Mapping[str, Strategy],
) -> None:
    """Ask every turn but the first of each conversation."""
    written = {
        _id(c, at): turn.written for c, turns in cast.items() for at, turn in enumerate(turns)
    }
    await _index(resources, "alone", written)
    await _index(resources, "rivals", written | dict(_rivals(cast, rivals)))
    _print_detection(cast)
    print(
        f"\n{'CAsT MRR/hit@1':14}{'alone':>18}{'rivals':>18}{'rivals, unchanged':>18}{'cosine':>8}"
    )
    for name, strategy in strategies.items():
        reciprocal: dict[str, list[float]] = defaultdict(list)
        cosines = []
        for conversation, turns in cast.items():
            for at in range(1, len(turns)):
                query = strategy([turn.raw for turn in turns[: at + 1]])
                for corpus in ("alone", "rivals"):
                    rank = await _reciprocal(resources, corpus, query, _id(conversation, at))
                    kind = corpus if turns[at].changed else f"{corpus} unchanged"
                    reciprocal[kind].append(rank)
                cosines.append(await _cosine(resources, query, turns[at].written))
        kinds = ("alone", "rivals", "rivals unchanged")
        cells = (
            f"{_mean(reciprocal[k]):.3f}/{_mean([r == 1 for r in reciprocal[k]]):.3f}"
            for k in kinds
        )
        print(f"{name:14}", *(f"{cell:>17}" for cell in cells), f"{_mean(cosines):.3f}", flush=True)


def _rivals(cast: Mapping[str, Sequence[Turn]], count: int) -> Iterator[tuple[str, str]]:
    """Put other conversations' subjects into the places where people wrote this one's."""
    subjects = {
        conversation: sorted({s for turn in turns if turn.changed for s in _subjects(turn)})
        for conversation, turns in cast.items()
    }
    chance = random.Random(0)
    for conversation, turns in cast.items():
        others = [s for c, found in subjects.items() if c != conversation for s in found]
        for at, turn in enumerate(turns):
            if turn.changed and _subjects(turn):
                for number, subject in enumerate(chance.sample(others, count)):
                    yield f"{_id(conversation, at)}-{number}", _about(turn, subject)


def _subjects(turn: Turn) -> list[str]:
    """List what people wrote instead of, or beside, the words that were said."""
    said, written = turn.raw.split(), turn.written.split()
    steps = difflib.SequenceMatcher(None, said, written, autojunk=False).get_opcodes()
    return [
        " ".join(written[b:e]).strip("?.") for tag, _, _, b, e in steps if tag != "equal" and e > b
    ]


def _about(turn: Turn, subject: str) -> str:
    text = turn.written
    for own in _subjects(turn):
        text = text.replace(own, subject, 1)
    return text


def _id(conversation: str, at: int) -> str:
    return f"{conversation}_{at}"


async def _index(resources: Resources, collection: str, texts: Mapping[str, str]) -> None:
    turns = asyncio.Semaphore(8)

    async def write(name: str, text: str) -> None:
        async with turns:
            place = Place(CALLER.tenant, collection, name)
            await resources.indexer.write(place, DocumentWrite(text=text))

    await asyncio.gather(*(write(name, text) for name, text in texts.items()))


async def _found(resources: Resources, collection: str, query: str, depth: int) -> list[Passage]:
    search = CollectionSearch(query=query, collections=[collection], top_k=depth)
    return (await resources.searcher.search(CALLER, search)).data


async def _reciprocal(resources: Resources, collection: str, query: str, wanted: str) -> float:
    found = await _found(resources, collection, query, DEPTH)
    ids = [passage.document_id for passage in found]
    return 1 / (ids.index(wanted) + 1) if wanted in ids else 0.0


async def _cosine(resources: Resources, query: str, written: str) -> float:
    ours, theirs = [await resources.embedder.question(text) for text in (query, written)]
    return float(ours @ theirs)


def _print_detection(cast: Mapping[str, Sequence[Turn]]) -> None:
    later = [turn for turns in cast.values() for turn in turns[1:]]
    caught = _mean([leans(turn.raw) for turn in later if turn.changed])
    disturbed = _mean([leans(turn.raw) for turn in later if not turn.changed])
    print(f"\nCAsT: of {len(later)} later turns, {sum(turn.changed for turn in later)} rewritten")
    print(f"  joined {caught:.1%} of the rewritten and {disturbed:.1%} of the others")


def _print_cost(conversations: Sequence[Sequence[str]]) -> None:
    rounds = 200
    seconds = timeit.timeit(
        lambda: [follow_up.standalone(turns, limit=LIMIT) for turns in conversations], number=rounds
    )
    each = seconds / rounds / len(conversations) * 1e6
    print(f"deciding and joining: {each:.1f} µs a conversation ({len(conversations)} of them)")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    raise SystemExit(main())
