"""One run of a ladder, from the plan to the report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from services.chassis.http import Peer
from services.cli.answer_asking import Assistants
from services.cli.answer_judging import Judging
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.ladder.board import board_on
from services.cli.ladder.climbing import Climber
from services.cli.ladder.plan import Plan, Wishes, plan_of
from services.cli.ladder.record import Record, recorded
from services.cli.ladder.report import conclude
from services.cli.ladder.saved import SavedLadder
from services.cli.ladder.training import Trainer
from services.contracts.evaluations import Judges
from services.contracts.ladder import LadderPrices, LadderReport, RungLeftOut
from services.domain.evaluation.cases import dataset_hash
from services.domain.ladder.figures import Climbed, Terms, measured

ADVISED_CASES = 100
"""Fewer cases show only large differences."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is run."""

    wishes: Wishes
    prices: LadderPrices
    enough: float
    out: Path
    fresh: bool

    async def climb(self, gateway: Gateway, targets: Mapping[str, Peer], judging: Judging) -> None:
        """Measure every rung and write the reports.

        Args:
            judging: what the cases' checks need.

        Raises:
            CommandError: it cannot be done; the text says why, with the mend.
            ServiceError: the gateway refuses or fails.
        """
        plan = await plan_of(gateway, self.wishes)
        judging.check(plan.cases)
        judges = judging.names_in(plan.cases)
        console = Console()
        path = self.out.with_suffix(".answers.jsonl")
        names, each = [rung.name for rung in plan.rungs], len(plan.cases) * self.wishes.repeats
        with (
            recorded(path, {**plan.inputs, **_named(judges)}, fresh=self.fresh) as record,
            board_on(console, names, each) as board,
        ):
            climber = Climber(
                plan=plan,
                gateway=gateway,
                assistants=Assistants(gateway.peer, self.wishes.concurrent, judging),
                record=record,
                trainer=self._trainer(gateway, record),
                targets=targets,
                board=board,
                repeats=self.wishes.repeats,
                seed=self.wishes.seed,
            )
            try:
                climbed = await climber.climb()
            except asyncio.CancelledError:
                console.print("Cut off; the same command goes on where it stood.")
                raise
            profiles = {one.rung.name: climber.profile(one.rung) for one in climbed}
        report = self._report(plan, climbed, [*plan.left_out, *climber.left_out], judges)
        answers = {one.rung.name: list(one.answers) for one in climbed}
        saved = SavedLadder(
            report=report, cases=list(plan.cases), profiles=profiles, answers=answers
        )
        conclude(saved, self.out, console)

    def _trainer(self, gateway: Gateway, record: Record) -> Trainer:
        wishes = self.wishes
        return Trainer(gateway, record, self.prices, wishes.seed, wishes.recipe, wishes.accepted)

    def _report(
        self,
        plan: Plan,
        climbed: Sequence[Climbed],
        left_out: Sequence[RungLeftOut],
        judges: Judges,
    ) -> LadderReport:
        if not any(one.rung.target is None for one in climbed):
            told = "; ".join(f"{one.name}: {one.reason.rstrip('.')}" for one in left_out)
            raise CommandError(f"No rung of your own was measured. {told}.")
        terms = Terms(self.prices, self.wishes.concurrent, self.enough, plan.policy is not None)
        rungs, advice = measured(plan.cases, climbed, terms)
        return LadderReport(
            assistant=plan.assistant,
            base=plan.base,
            dataset_hash=dataset_hash(plan.cases),
            train_hash=plan.train_hash,
            cases=len(plan.cases),
            repeats=self.wishes.repeats,
            concurrent=self.wishes.concurrent,
            seed=self.wishes.seed,
            enough=self.enough,
            prices=self.prices,
            judges=judges,
            rungs=rungs,
            left_out=list(left_out),
            advice=advice,
            cautions=[*plan.cautions, *_cautions(plan, climbed)],
        )


def _named(judges: Judges) -> dict[str, str]:
    """List what judges the answers, by what it is called in a sentence."""
    return {
        "the judge": f"{judges.judge} {judges.judge_url}" if judges.judge else "",
        "the style classifier": judges.styles or "",
        "the model of entailment": judges.entailment or "",
    }


def _cautions(plan: Plan, climbed: Sequence[Climbed]) -> list[str]:
    told = []
    if len(plan.cases) < ADVISED_CASES:
        told.append(
            f"{len(plan.cases)} cases show only large differences; about {ADVISED_CASES} are a "
            "good number."
        )
    told += [
        f"{failed} answers of {one.rung.name} failed and count as not passed."
        for one in climbed
        if (failed := sum(answer.error is not None for answer in one.answers))
    ]
    if not any(case.guards for case in plan.cases):
        told.append("There are no guard cases: nothing tells whether a rung forgets something.")
    return told
