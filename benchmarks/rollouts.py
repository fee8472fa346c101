"""Six figures of rollouts: how fast back, how exact the split, how soon a bad adapter is found out,
how often a good one is accused, and whether any answer is wrong or lost on the way.

    python benchmarks/rollouts.py [--rounds 10] [--identical 200] [--only NAME ...]
    python benchmarks/rollouts.py --stack http://127.0.0.1:8000 --admin-key FILE
        [--only rollback faults bad shadow] [--dreaming FOLDER]

Without `--stack`: two gateway processes on one registry, two replicas with the real agent beside
the tests' stand-in of an engine, all on loopback. With it: a running stack, with the marker
adapters of `examples/adapters`, which answer every prompt with a word of their own, and its voices
over the documents of `examples/corpus`; `--dreaming` names an adapter that ignores its passages
(`benchmarks/dreaming.py`). A busy machine makes times longer and changes no count.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from rolling import bad_adapters, identical, real_voices, shadows, sharing
from rolling.figures import faults, rollback_times, spread
from rolling.load import Gateway
from rolling.operator import Operator

from services.cli.connection import Connection
from services.cli.gateway import Gateway as Admin
from tests import postgres
from tests.service.gateway.installation import Installation, installation

ADAPTERS = Path(__file__).parents[1] / "examples" / "adapters"
MARKERS = {"marker-a": "MARKER-A", "marker-b": "MARKER-B"}
ASSISTANT = "support"
CALLERS, STACK_CALLERS, MOVES = 6, 2, 12
LOOPBACK_PARTS = ("rollback", "split", "bad", "identical", "faults")
STACK_PARTS = ("rollback", "faults", "bad", "shadow")
STACK_LOOK_SECONDS = 0.5
STACK_TRIAL: dict[str, Any] = {
    # Not how fast a machine is, but what the answers say.
    "analysis": {"slow_after_ms": 60_000, "slow_stream_after_ms": 10_000},
    "weight": 50.0,
    "patience_seconds": 900.0,
}
ROLLBACK_BAR_SECONDS = 1.0


def main() -> int:
    """Take the figures; fail when one that must hold does not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="rollbacks that are timed")
    parser.add_argument("--identical", type=int, default=200, help="rollouts of no difference")
    parser.add_argument("--subjects", type=int, default=400, help="callers that are split")
    parser.add_argument(
        "--only", nargs="*", choices=sorted({*LOOPBACK_PARTS, *STACK_PARTS}), default=[]
    )
    parser.add_argument("--stack", help="a running gateway's URL")
    parser.add_argument("--admin-key", type=Path, help="the file with its operator key")
    parser.add_argument("--dreaming", type=Path, help="an adapter that ignores its passages")
    parser.add_argument("--turn-seconds", type=float, default=60, help="of a turn of `shadow`")
    parser.add_argument(
        "--loads",
        type=float,
        nargs="*",
        default=[0.3, 0.7],
        help="callers' share of the time in `shadow`, by what an answer takes alone",
    )
    given = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    given.only = given.only or (STACK_PARTS if given.stack else LOOPBACK_PARTS)
    return asyncio.run(_stack(given) if given.stack else _loopback(given))


async def _loopback(given: argparse.Namespace) -> int:
    held = True
    if "rollback" in given.only:
        held &= await _rollback("SQLite", None, given.rounds)
        if postgres.AVAILABLE:
            with postgres.postgres_server() as server:
                async with postgres.fresh_database(server) as url:
                    held &= await _rollback("Postgres", url, given.rounds)
    if "split" in given.only:
        held &= _print_shares(await sharing.shares(given.subjects))
    if "bad" in given.only:
        async with _installed(None) as (installed, operator, gateways):
            found = await bad_adapters.detections(installed, operator, gateways, callers=CALLERS)
        _print_detections(found, bad_adapters.Trial(CALLERS))
    if "identical" in given.only:
        held &= _print_identical(given.identical, *await identical.outcomes(given.identical))
    if "faults" in given.only:
        held &= await _faults()
    return 0 if held else 1


@contextlib.asynccontextmanager
async def _installed(
    database_url: str | None,
) -> AsyncIterator[tuple[Installation, Operator, list[Gateway]]]:
    with tempfile.TemporaryDirectory() as folder:
        async with installation(Path(folder), database_url=database_url) as installed:
            for replica in installed.replicas:
                replica.engine.reply = lambda call: call.marker or "base"
            gateways = [Gateway(g.url, g.client("app").key or "") for g in installed.gateways]
            operator = Gateway(installed.gateways[0].url, installed.admin().key or "")
            yield installed, Operator(installed.session, operator, ASSISTANT), gateways


async def _rollback(database: str, url: str | None, rounds: int) -> bool:
    async with _installed(url) as (installed, operator, gateways):
        old, new = await installed.adapter("old"), await installed.adapter("new")
        await operator.bind(adapter=old)
        times = await rollback_times(operator, gateways, {"adapter": new}, rounds, callers=CALLERS)
    return _print_rollback(f"two gateways, {database}", times)


async def _faults() -> bool:
    async with _installed(None) as (installed, operator, gateways):
        bundles = {name: {"adapter": await installed.adapter(name)} for name in ("red", "blue")}

        async def disturb(number: int) -> None:
            replica = installed.replicas[number % 2]
            match number % 3:
                case 0:
                    await installed.adapter(f"further-{number}")
                case 1:
                    # An engine that comes back empty behind its address.
                    replica.engine.die()
                    await asyncio.sleep(0.3)
                    replica.engine.restart()
                    await installed.until_ready(len(installed.replicas))

        told = await faults(operator, gateways, bundles, MOVES, callers=CALLERS, disturb=disturb)
    return _print_faults("two gateways, two replicas; adapters load, engines restart", told)


async def _stack(given: argparse.Namespace) -> int:
    key = (await asyncio.to_thread(given.admin_key.read_text)).strip()
    gateway = Gateway(given.stack.rstrip("/"), key)
    held = True
    async with aiohttp.ClientSession() as session, Connection(gateway.url, key).gateway() as admin:
        operator = Operator(session, gateway, "rollout-benchmark")
        if {"rollback", "faults"} & set(given.only):
            held &= await _stack_moves(given, gateway, operator, admin)
        if {"bad", "shadow"} & set(given.only):
            # Real answers take seconds, and looking takes some of the same machine.
            patient = replace(operator, look_seconds=STACK_LOOK_SECONDS)
            held &= await _stack_voices(given, gateway, patient, admin)
    return 0 if held else 1


async def _stack_voices(
    given: argparse.Namespace, gateway: Gateway, operator: Operator, admin: Admin
) -> bool:
    held, voices = True, await real_voices.prepared(admin, given.dreaming)
    await operator.bind(**voices.stable)
    await operator.until_known([gateway])
    if "bad" in given.only:
        trial = bad_adapters.Trial(STACK_CALLERS, questions=voices.questions, **STACK_TRIAL)
        found = [
            await bad_adapters.detected(operator, [gateway], kind, bundle, trial)
            for kind, bundle in voices.bad.items()
        ]
        _print_detections(found, trial)
    if "shadow" in given.only:
        # The shorter answers are the callers', so that more of them are measured.
        await operator.bind(**voices.friendly)
        for load in given.loads:
            trial_of = shadows.Trial(given.rounds, given.turn_seconds, load)
            off, on = await shadows.delays(operator, voices.stable, voices.questions, trial_of)
            held &= _print_shadows(load, off, on)
    return held


async def _stack_moves(
    given: argparse.Namespace, gateway: Gateway, operator: Operator, admin: Admin
) -> bool:
    held = True
    bundles = {
        word: {
            "adapter": (await admin.register(ADAPTERS / name)).id,
            "profile": {"sampling": {"max_tokens": 12}},
            "allow_prompt_mismatch": True,
        }
        for name, word in MARKERS.items()
    }
    first, second = bundles.values()
    await operator.bind(**first)
    if "rollback" in given.only:
        times = await rollback_times(
            operator, [gateway], second, given.rounds, callers=STACK_CALLERS
        )
        held &= _print_rollback(f"one gateway, {gateway.url}", times)
    if "faults" in given.only:
        told = await faults(operator, [gateway], bundles, MOVES, callers=STACK_CALLERS)
        held &= _print_faults(f"one gateway, one replica, {gateway.url}", told)
    return held


def _print_rollback(where: str, times: Sequence[tuple[float, float]]) -> bool:
    taken, answered = [first for first, _ in times], [last for _, last in times]
    print(f"\nRollback of a promoted candidate ({where}; {len(times)} rounds under load)")
    print(f"  decision to the last request that the candidate took: {spread(taken)}")
    print(f"  decision to its last answer:                          {spread(answered)}")
    return max(taken) < ROLLBACK_BAR_SECONDS


def _print_shares(shares: Sequence[sharing.Share]) -> bool:
    print(f"\nSplit ({shares[0].subjects} conversations, each asked twice at each weight, HTTP)")
    print("  weight   candidate   99.9 % bounds     moved back   changed between turns")
    for share in shares:
        low, high = share.bounds
        print(
            f"  {share.weight:5g} %   {share.seen / share.subjects:7.1%}   {low:6.1%} - {high:6.1%}"
            f"   {share.moved_back:8}   {share.unsteady:8}"
        )
    return all(share.holds for share in shares)


def _print_detections(found: Sequence[bad_adapters.Detection], trial: bad_adapters.Trial) -> None:
    weight, patience = trial.weight, trial.patience_seconds
    print(f"\nA bad adapter at {weight:g} % of the callers, every check on, {patience:g} s at most")
    for one in found:
        ended = "found out after" if one.found else "not found out in"
        print(f"  {one.kind}: {ended} {one.answers} answers, {one.seconds:.1f} s  {one.reason}")


def _print_identical(count: int, ended: dict[str, int], answers: int) -> bool:
    rate = ended.get("rolled_back", 0) / count
    stated = identical.ANALYSIS.false_rollback_rate
    told = ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in sorted(ended.items()))
    print(
        f"\nCandidates that are no different ({count} rollouts, {answers} simulated answers; real "
        "split, ledger, statistics, controller)"
    )
    print(f"  {told}; rolled back {rate:.1%}, stated at most {stated:.0%}")
    return rate <= stated


def _print_shadows(load: float, off: shadows.Turns, on: shadows.Turns) -> bool:
    print(
        f"\nCallers at {load:.0%} of what one answer at a time takes, the candidate unseen",
        flush=True,
    )
    print("              answers   median     95 %   failed   copies answered   copies dropped")
    for name, turns in (("no copies", off), ("all copied", on)):
        taken = turns.seconds()
        median, late = statistics.median(taken), taken[int(0.95 * (len(taken) - 1))]
        print(
            f"  {name:10}   {len(taken):6} {median:7.2f} s {late:7.2f} s {turns.failed():8}"
            f"   {turns.copies:15.0f}   {turns.dropped:14.0f}"
        )
    return not on.failed()


def _print_faults(where: str, told: tuple[int, list[str], list[str], int]) -> bool:
    answers, wrong, failed, broken = told
    print(f"\nContinuous rollouts under load ({where}; {MOVES} rollouts, {answers} answers)")
    print(f"  answers of other weights than named: {len(wrong)} {wrong[:3] or ''}")
    print(f"  failed before their first piece:     {len(failed)} {failed[:3] or ''}")
    print(f"  streams that an engine's end broke:  {broken}")
    return not wrong and not failed


if __name__ == "__main__":
    sys.exit(main())
