"""The packaged model's tokeniser as a file of the `tokenizers` library."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from services.retriever.packaged.weights import Vocabulary

_WORD_START = "▁"


def write_tokenizer(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `tokenizer.json`, which neither truncates nor pads."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    begin, end = vocabulary.name(vocabulary.begin), vocabulary.name(vocabulary.end)
    tokenizer = Tokenizer(
        models.Unigram(vocabulary.pieces, unk_id=vocabulary.unknown, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(_normalizers(vocabulary.characters))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement=_WORD_START, prepend_scheme="always", split=False
    )
    tokenizer.decoder = decoders.Metaspace(replacement=_WORD_START, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, vocabulary.begin), (end, vocabulary.end)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def _normalizers(characters: dict[int, str]) -> list[Any]:
    """The character map is NFKC but for some controls, which become a space or vanish."""
    from tokenizers import Regex, normalizers

    unlike = {
        source: target
        for source, target in characters.items()
        if unicodedata.normalize("NFKC", chr(source)) != target
    }
    steps: list[Any] = []
    for replacement in (" ", ""):
        sources = [
            f"\\x{{{source:x}}}" for source, target in unlike.items() if target == replacement
        ]
        if sources:
            steps.append(normalizers.Replace(Regex(f"[{''.join(sources)}]"), replacement))
    return [*steps, normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
