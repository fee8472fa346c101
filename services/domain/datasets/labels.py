"""Files that teach a label: whether every label has its rows and one spelling."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from services.contracts.datasets import Finding
from services.domain.datasets.examples import Example, plain
from services.domain.datasets.findings import Kind, share

SPELLING = Kind("label_spellings", "warning", "Write each label in one way.")
RARE = Kind("rare_labels", "warning", "Add rows for these labels, or leave them out.")
UNEVEN = Kind(
    "labels_uneven", "warning", "Add rows of the other labels; always saying this one looks good."
)

MOST_LABELS = 200
LONGEST_LABEL = 40
"""Characters."""
ROWS_A_LABEL = 10
"""On average; where answers occur less often they are no labels."""
FEWEST_ROWS = 5
MOST_OF_ONE = 0.9


def labels(examples: Sequence[Example]) -> Iterator[Finding]:
    """Look at the labels of a file whose answers are labels; nothing is said of other files."""
    rows = defaultdict[str, list[Example]](list)
    for example in examples:
        rows[_folded(example.answer)].append(example)
    if not _are_labels(rows, len(examples)):
        return
    spelt = {name: Counter(one.answer for one in group) for name, group in rows.items()}
    if several := {name: ways for name, ways in spelt.items() if len(ways) > 1}:
        shown = "; ".join(" / ".join(map(repr, ways)) for ways in list(several.values())[:3])
        odd = [
            one.line
            for name, ways in several.items()
            for one in rows[name]
            if one.answer != ways.most_common(1)[0][0]
        ]
        yield SPELLING.found(f"labels are spelt in several ways: {shown}", odd)
    if rare := {name: group for name, group in rows.items() if len(group) < FEWEST_ROWS}:
        shown = ", ".join(list(rare)[:5])
        lines = [one.line for group in rare.values() for one in group]
        yield RARE.found(f"{len(rare)} labels have fewer than {FEWEST_ROWS} rows: {shown}", lines)
    name, most = max(rows.items(), key=lambda item: len(item[1]))
    if len(rows) > 1 and len(most) > MOST_OF_ONE * len(examples):
        yield UNEVEN.found(f"{share(len(most), len(examples))} say {name!r}")


def _are_labels(rows: dict[str, list[Example]], count: int) -> bool:
    few = 0 < len(rows) <= min(MOST_LABELS, count / ROWS_A_LABEL)
    return few and all(len(name) <= LONGEST_LABEL for name in rows)


def _folded(label: str) -> str:
    return plain(label).strip(" .!\"'")
