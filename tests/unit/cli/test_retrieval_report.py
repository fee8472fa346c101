"""What a data set shows of a configuration."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from rich.console import Console

from services.cli.interval_plot import plot
from services.cli.retrieval_cases import Case, configuration_of
from services.cli.retrieval_report import (
    HELD,
    Run,
    cautions,
    run_of,
    saved_form,
    table_of,
    width_of,
)
from services.contracts.knowledge import (
    Passage,
    SearchResult,
    SearchTimings,
    Span,
    Surroundings,
)


def result(*documents: str, around: str = "", ms: float = 2.0) -> SearchResult:
    passages = [
        Passage(
            collection="docs",
            document_id=name,
            chunk=at,
            title="",
            uri="",
            headings=[],
            page=None,
            text=f"passage of {name}",
            span=Span(start=0, end=1),
            score=1.0,
            similarity=0.9,
            metadata={},
            surroundings=Surroundings(text=around, span=Span(start=0, end=9)) if around else None,
        )
        for at, name in enumerate(documents)
    ]
    timings = SearchTimings(embed_ms=1, search_ms=1, total_ms=ms)
    return SearchResult(data=passages, corpus_revision=1, timings=timings)


def run(*results: SearchResult, setup: str = "", answers: tuple[str, ...] = ()) -> Run:
    cases = [
        Case(
            id=str(at),
            question="q",
            relevant=["right"],
            answers=list(answers),
            tags=["odd" if at % 2 else "even"],
        )
        for at in range(len(results))
    ]
    return run_of(configuration_of(setup), cases, results, depths=[1, 2])


def test_documents_are_ranked_by_their_best_passage() -> None:
    values = run(result("wrong", "wrong", "right")).values
    assert values["recall@1"] == [0]
    assert values["recall@2"] == [1]
    assert values["MRR"] == [0.5]


def test_an_answer_may_stand_in_the_surroundings_of_what_is_shown() -> None:
    assert run(result("a", "b"), answers=("PASSAGE OF A",)).values[HELD] == [1]
    assert run(result("a", "b"), answers=("passage of b",)).values[HELD] == [0]
    assert run(result("a", around="14일 안에"), answers=("14일",)).values[HELD] == [1]
    assert HELD not in run(result("a")).values


def shown(*runs: Run) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table_of(runs))
    return captured.get()


def test_one_run_has_its_means_and_each_tag() -> None:
    text = shown(run(result("right"), result("wrong"), result("right"), result("wrong")))
    rows = [line.split()[:3] for line in text.splitlines()]
    assert ["nDCG@10,", "even", "1.000"] in rows
    assert ["nDCG@10,", "odd", "0.000"] in rows
    assert "verdict" not in text


def test_two_runs_have_a_verdict_on_their_difference() -> None:
    good, bad = [result("right")] * 20, [result("wrong", "right")] * 20
    text = shown(run(*good, setup="mode=hybrid"), run(*bad, setup="mode=dense"))
    assert "mode=hybrid" in text
    assert "worse" in text
    saved = saved_form([run(*bad), run(*good)])
    assert saved["comparison"]["MRR"]["verdict"] == "better"
    assert saved["comparison"]["recall@2"]["verdict"] == "no difference shown"
    assert saved["comparison"]["MRR"]["better"] == 20
    assert saved["runs"][0]["values"]["MRR"] == [0.5] * 20
    assert json.loads(json.dumps(saved)) == saved


def asking(count: int, *relevant: str) -> list[Case]:
    return [Case(id=str(at), question="q", relevant=list(relevant)) for at in range(count)]


def test_few_questions_and_absent_documents_are_told() -> None:
    assert list(cautions(asking(30, "a"), [])) == []
    (few,) = cautions(asking(29, "a"), [])
    assert "Fewer than 30 questions" in few
    cases = [*asking(30, "a"), *asking(2, "a", "gone")]
    (absent,) = cautions(cases, ["gone"])
    assert absent.startswith("2 of 32 questions")
    assert "(gone)" in absent
    (many,) = cautions(cases, [f"gone-{at}" for at in range(9)])
    assert "gone-4, ...)" in many
    assert "gone-5" not in many


def test_a_row_is_one_line_however_long_the_names() -> None:
    setups = ("mode=hybrid,expand=section,diversity=0.3", "mode=dense,min_score=0.5")
    table = table_of([run(result("right"), setup=setup) for setup in setups])
    assert width_of(table) > 100
    console = Console(width=width_of(table))
    with console.capture() as captured:
        console.print(table)
    (row,) = [line for line in captured.get().splitlines() if "nDCG@10 " in line]
    assert row.rstrip().endswith("no difference shown")


def test_the_plot_is_a_picture_with_each_mean_at_its_place() -> None:
    first = run(result("right"), result("wrong", "right")).estimates()
    picture = ElementTree.fromstring(plot([("a<b", first), ("둘", first)]))
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a<b", "둘", "MRR", "recall@1", "0.750"} <= set(texts)
    circles = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 2 + 2 * len(first)
    marks = {float(circle.attrib["cx"]) for circle in circles[2:]}
    assert 190 + 420 * 0.75 in marks
