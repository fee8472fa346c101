"""How soon a rollout finds a bad candidate out, and how often it accuses a good one.

Simulated answers go through the controller's own comparison, with the default checks and the
default rate of false rollbacks, and a look after every answer of the candidate.

    python benchmarks/rollout_evidence.py [--runs 200]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys

from services.contracts.rollouts import Analysis
from services.domain.rollouts.evidence import Rate, findings
from services.gateway.rollouts.deciding import checks_of

STABLE_RATE = 0.01
"""How often the stable release fails."""
RATES = (1.0, 0.5, 0.3, 0.1, STABLE_RATE)
WEIGHTS = (5, 50)
"""Percent of the callers that meet the candidate."""
MOST_ANSWERS = 1000
"""Answers of the candidate after which a run ends without an accusation."""
LOOK_SPARSELY_AFTER = 50
SPARSE = 10
ANALYSIS = Analysis()


def main() -> int:
    """Print the table; fail when good candidates are accused more often than stated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    chance, accused = random.Random(5), 0.0
    print(f"stable release fails in {STABLE_RATE:.0%} of its answers; {runs} runs each")
    print("candidate fails   weight   found out   median answers of the candidate")
    for rate in RATES:
        for weight in WEIGHTS:
            found = [_run(chance, rate, weight) for _ in range(runs)]
            told = [answers for answers in found if answers is not None]
            median = f"{statistics.median(told):g}" if told else "-"
            print(f"{rate:15.0%} {weight:7} % {len(told) / runs:10.1%}   {median}")
            if rate == STABLE_RATE:
                accused = max(accused, len(told) / runs)
    return 0 if accused <= ANALYSIS.false_rollback_rate else 1


def _run(chance: random.Random, rate: float, weight: int) -> int | None:
    """Let both arms answer; tell after how many answers the candidate is found worse."""
    checks = checks_of(ANALYSIS)
    stable, candidate = Rate(0, 0), Rate(0, 0)
    for answers in range(1, MOST_ANSWERS + 1):
        candidate = _answered(chance, candidate, rate, 1)
        stable = _answered(chance, stable, STABLE_RATE, round((100 - weight) / weight))
        if answers > LOOK_SPARSELY_AFTER and answers % SPARSE:
            continue
        found = findings(
            checks,
            {check.name: _of(check.name, stable) for check in checks},
            {check.name: _of(check.name, candidate) for check in checks},
            false_alarms=ANALYSIS.false_rollback_rate,
        )
        if any(finding.worse for finding in found):
            return answers
    return None


def _answered(chance: random.Random, rate: Rate, probability: float, trials: int) -> Rate:
    events = sum(chance.random() < probability for _ in range(trials))
    return Rate(rate.events + events, rate.trials + trials)


def _of(check: str, errors: Rate) -> Rate:
    """Give the errors to their check; nothing else goes wrong here."""
    return errors if check == "errors" else Rate(0, errors.trials)


if __name__ == "__main__":
    sys.exit(main())
