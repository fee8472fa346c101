"""Trains one LoRA adapter from prompt/completion rows and writes it with its manifest.

Run it as `python -m services.tuner.training --help`. It reports progress as JSON lines on standard
output and leaves checkpoints under `<out>/checkpoints` until it has finished, so that a killed run
goes on with `--resume`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pydantic import ValidationError

from services.contracts.adapters import AdapterManifest
from services.tuner.datasets.preparing import prepare
from services.tuner.failures import failure_of
from services.tuner.options import run_of
from services.tuner.progress import ProgressLines
from services.tuner.run import TrainingRun


def train(run: TrainingRun, lines: ProgressLines) -> AdapterManifest:
    """Check the data, then train, export and describe one adapter.

    Raises:
        RowError: when the data cannot be trained on.
        TrainingTooLong: when it would take longer than it may.
        RecipeUnavailable: when this machine cannot train so.
        PreflightError: when the result could not be served.
    """
    data = prepare(run)
    lines.write("checked", findings=[finding.model_dump() for finding in data.findings])
    # Loading these libraries takes longer than refusing a file.
    from services.tuner.fitting import fit

    return fit(run, data, lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Train from the command line."""
    lines = ProgressLines(sys.stdout)
    try:
        train(run_of(list(sys.argv[1:] if argv is None else argv)), lines)
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Exception as error:
        told = failure_of(error)
        if told is None:
            raise
        lines.write("failed", code=told[0], message=told[1])
        sys.stderr.write(f"{told[1]}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
