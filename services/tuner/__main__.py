"""Run the tuner: `python -m services.tuner`, or `--once [--job ID]` for one job.

With `--once` the exit status is 0 when a job was worked on, however it ended, and 3 when there was
none to work on.
"""

import argparse
import asyncio
from collections.abc import Sequence

from services.chassis.logging import configure_logging
from services.chassis.serving import serve
from services.tuner.app import create_app, work_once
from services.tuner.settings import Settings

NOTHING_TO_DO = 3
"""The exit status when no job could be claimed."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("services.tuner", description="Train what the gateway queues.")
    parser.add_argument("--once", action="store_true", help="work on one job and end")
    parser.add_argument("--job", help="with --once: the only job that will do")
    options = parser.parse_args(arguments)
    if options.job and not options.once:
        parser.error("--job needs --once")
    return options


def main() -> int:
    """Read the command line and run."""
    options, settings = parse(), Settings()
    if not options.once:
        serve(create_app(settings), "tuner", settings.listening)
        return 0
    listening = settings.listening
    configure_logging("tuner", level=listening.log_level, form=listening.log_form)
    return 0 if asyncio.run(work_once(settings, options.job)) else NOTHING_TO_DO


if __name__ == "__main__":
    raise SystemExit(main())
