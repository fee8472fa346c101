"""`inkstone costs compare` as a person runs it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from services.cli.main import app

PUBLISHED = Path(__file__).parents[3] / "examples/costs/published.json"


def compare(scenario: Path) -> Result:
    return CliRunner().invoke(app, ["costs", "compare", str(scenario)], env={"COLUMNS": "160"})


def test_the_published_scenario_is_shown() -> None:
    told = compare(PUBLISHED)
    assert told.exit_code == 0
    for figure in ("100,000 requests a month", "$2,700", "$120", "$360", "$20.00", "$1,460"):
        assert figure in told.output


def test_a_scenario_that_says_nothing_is_refused_with_its_place(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text('{"requests_per_month": 0, "options": []}')
    told = compare(scenario)
    assert told.exit_code == 1
    assert "requests_per_month" in str(told.exception)
