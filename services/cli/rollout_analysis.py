"""What a rollout is to be judged by, as it is said on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import get_args

import typer

from services.contracts.rollouts import Analysis, CheckSeen, QueryCheck

COSTLY_MARGIN = 0.05
"""How much more often the candidate's answers may be costly, where that is compared."""

OFF = "off"

_QUERY = re.compile(r"([a-z0-9][a-z0-9_-]*)\s*(<=|>=)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)")
_CHECKS: tuple[str, ...] = get_args(CheckSeen.model_fields["check"].annotation)


def analysis_of(
    min_samples: int,
    *,
    queries: Sequence[str] = (),
    checks: Sequence[str] = (),
    costly_after: float | None = None,
) -> Analysis:
    """Read an analysis; what is not said stays at its default.

    Raises:
        typer.BadParameter: a query or a check that cannot be read.
    """
    return Analysis.model_validate(
        {
            "min_samples": min_samples,
            "queries": [_query(each) for each in queries],
            "costly_answers": None if costly_after is None else COSTLY_MARGIN,
            "costly_after_usd": costly_after,
            **dict(_margins(checks)),
        }
    )


def _margins(checks: Iterable[str]) -> Iterable[tuple[str, float | None]]:
    """Read `name=margin` and `name=off`."""
    for said in checks:
        name, _, margin = said.replace("-", "_").partition("=")
        name, margin = name.strip(), margin.strip()
        if name not in _CHECKS or not (margin == OFF or _is_share(margin)):
            raise typer.BadParameter(
                f"{said!r} is no check with a margin; write `name=0.05`, a margin from 0 to 1, or "
                f"`name=off`, with one of {', '.join(_CHECKS)}."
            )
        if name == "costly_answers":
            raise typer.BadParameter("Costs are compared with --costly-after and the dollars.")
        yield name, None if margin == OFF else float(margin)


def _is_share(said: str) -> bool:
    return bool(re.fullmatch(r"\d*\.?\d+", said)) and float(said) <= 1


def _query(said: str) -> QueryCheck:
    """Read `name<=number` or `name>=number`."""
    found = _QUERY.fullmatch(said)
    if found is None:
        raise typer.BadParameter(
            f"{said!r} is no query with a threshold; write `name<=number` or `name>=number`."
        )
    name, sign, number = found.groups()
    bound = "at_most" if sign == "<=" else "at_least"
    return QueryCheck.model_validate({"query": name, bound: float(number)})
