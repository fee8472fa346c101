"""How well the style classifier tells formal from informal Korean, beside TF-IDF of scikit-learn.

    python benchmarks/style_classifier.py --data ../shared/data/korean_smile_style.jsonl

Every fifth dialogue is held out with all of its styles, so that no sentence stands on both sides.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from services.contracts.styles import StyleRow
from services.domain.evaluation.style_training import likeliest, train_styles
from services.domain.statistics import proportion

Trained = Callable[[str], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(__file__).parents[1].parent / "shared" / "data" / "korean_smile_style.jsonl"
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--labels", nargs="+", default=["formal", "informal"])
    options = parser.parse_args()
    if not options.data.is_file():
        print(f"{options.data} is not here; name the data with --data")
        return
    rows = [json.loads(line) for line in options.data.read_text("utf-8").splitlines()]
    shown, unseen = (
        [
            StyleRow(text=row[label], label=label)
            for number, row in enumerate(rows)
            for label in options.labels
            if row.get(label) and (number % 5 == 0) is held
        ]
        for held in (False, True)
    )
    print(f"{len(shown)} rows, {len(unseen)} held out: {', '.join(options.labels)}")
    for name, train in (("inkstone", ours), ("TF-IDF, scikit-learn", theirs)):
        began = time.process_time()
        trained = train(shown)
        seconds = time.process_time() - began
        right = sum(trained(row.text) == row.label for row in unseen)
        sure = proportion(right, len(unseen))
        print(
            f"{name:<22} {sure.mean:.3f} [{sure.low:.3f}, {sure.high:.3f}], "
            f"trained in {seconds:.1f} s of CPU"
        )


def ours(rows: Sequence[StyleRow]) -> Trained:
    model = train_styles(rows)
    return lambda text: likeliest(model, text)


def theirs(rows: Sequence[StyleRow]) -> Trained:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made: Any = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)), LogisticRegression(max_iter=1000)
    )
    made.fit([row.text for row in rows], [row.label for row in rows])
    return lambda text: str(made.predict([text])[0])


if __name__ == "__main__":
    main()
