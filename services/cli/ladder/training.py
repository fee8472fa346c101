"""Training a rung's adapter through the fine-tuning API, and waiting for it."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp

from services.chassis.errors import Unavailable, UpstreamFailed, UpstreamTimeout
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.ladder.record import Line, Record
from services.cli.ladder.training_rows import Told
from services.contracts.files import FileObject
from services.contracts.fine_tuning import FineTuningEventPage, FineTuningJob
from services.contracts.ladder import LadderPrices, RungTraining
from services.domain.ladder.money import training_usd
from services.domain.ladder.rungs import Rung

POLL_SECONDS = 2.0
"""Between two looks at a training, once it has run for a while."""

FIRST_POLL_SECONDS = 0.1

PATIENCE_SECONDS = 300.0
"""How long the gateway may be away while a training runs."""

EVENTS_PAGE = 100

_OVER_IN_VAIN = ("failed", "cancelled")


class TrainingFailed(Exception):
    """A rung has no adapter; the text says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """Makes the adapters of rungs."""

    gateway: Gateway
    record: Record
    prices: LadderPrices
    seed: int
    recipe: Mapping[str, str]
    accepted: Sequence[str]

    async def adapter(
        self,
        rung: Rung,
        assistant: str,
        suffix: str,
        rows: Callable[[], Awaitable[bytes]],
        told: Told,
    ) -> RungTraining:
        """Train the adapter of a rung, or go on with what was begun.

        Args:
            assistant: whose prompt the rows carry.
            suffix: becomes the adapter's name.
            rows: makes the training file's content; called only when a training must begin.

        Raises:
            TrainingFailed: the job failed, or was cancelled.
        """
        if done := self.record.trained(rung.name):
            return done
        begun = self.record.jobs(rung.name)
        if not begun or (await self._job(begun[-1])).status in _OVER_IN_VAIN:
            told("preparing the rows")
            await self._begin(rung, assistant, suffix, await rows(), len(begun))
        job, seen = await self._over(self.record.jobs(rung.name)[-1], told)
        if job.fine_tuned_model is None:
            why = job.error.message if job.error else f"the job {job.id} was {job.status}"
            raise TrainingFailed(why.rstrip("."))
        seconds = max(seen, await self._seconds(job))
        trained = RungTraining(
            job=job.id,
            adapter=job.fine_tuned_model,
            rows=rung.rows or 0,
            trained_tokens=job.trained_tokens or 0,
            seconds=seconds,
            usd=training_usd(seconds, self.prices),
        )
        self.record.add(Line(rung=rung.name, trained=trained))
        return trained

    async def _begin(
        self, rung: Rung, assistant: str, suffix: str, rows: bytes, attempt: int
    ) -> None:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", io.BytesIO(rows), filename=f"{suffix}.jsonl")
        form.add_field("purpose", "fine-tune")
        peer = self.gateway.peer
        async with peer.stream("POST", "/v1/files", data=form, content_type=None) as reply:
            file = FileObject.received(await reply.read())
        body = {
            "model": assistant,
            "training_file": file.id,
            "suffix": suffix,
            "seed": self.seed,
            "metadata": {"ladder": self.record.heading.run, "rung": rung.name},
            "recipe": dict(self.recipe),
            "gate": {"accepted": list(self.accepted)},
        }
        # A run that is killed before it has written the job down finds the same one again.
        once = {"Idempotency-Key": f"ladder-{self.record.heading.run}-{rung.name}-{attempt}"}
        try:
            made = await peer.json("POST", "/v1/fine_tuning/jobs", body=body, headers=once)
        finally:
            # The job has a copy of its own.
            await peer.json("DELETE", f"/v1/files/{quote(file.id)}")
        self.record.add(Line(rung=rung.name, job=FineTuningJob.received(made).id))

    async def _over(self, id_: str, told: Told) -> tuple[FineTuningJob, float]:
        """Wait until a job is over, and tell for how many seconds it was seen to be worked on."""
        heard, pause = time.monotonic(), FIRST_POLL_SECONDS
        began: float | None = None
        while True:
            try:
                job = await self._job(id_)
                if job.status in ("succeeded", *_OVER_IN_VAIN):
                    return job, 0.0 if began is None else time.monotonic() - began
                if began is None and job.status != "queued":
                    began = time.monotonic()
                told(await self._stage(job))
                heard = time.monotonic()
            except (Unavailable, UpstreamFailed, UpstreamTimeout) as error:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise CommandError(
                        f"The gateway was away for {PATIENCE_SECONDS:.0f} s ({error.message}); the "
                        "training goes on, and so does this command when it is given again."
                    ) from error
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS)

    async def _stage(self, job: FineTuningJob) -> str:
        if job.status != "running":
            waits = {
                "queued": "waiting for a worker",
                "validating_files": "the rows are checked and the base is loaded",
                "paused": f"{job.id} is paused; resume it",
            }
            return waits.get(job.status, job.status)
        for event in (await self._events(job.id, limit=5)).data:
            if event.data and "step" in event.data and "total_steps" in event.data:
                stage = f"step {event.data['step']} of {event.data['total_steps']}"
                if job.estimated_finish is not None:
                    left = max(job.estimated_finish - time.time(), 0)
                    stage += f", {left:.0f} s to go"
                return stage
        return "training"

    async def _seconds(self, job: FineTuningJob) -> float:
        """Tell how long a worker had a job by its events, after that of the queuing, to its end.

        They begin when the base is loaded; what was seen of it before is not lost by this.
        """
        times, after = [float(job.created_at)], None
        while True:
            page = await self._events(job.id, limit=EVENTS_PAGE, after=after)
            times += [float(event.created_at) for event in page.data]
            if not page.has_more or not page.data:
                break
            after = page.data[-1].id
        began = sorted(times)[2] if len(times) > 2 else times[0]
        return max((job.finished_at or began) - began, 0.0)

    async def _job(self, id_: str) -> FineTuningJob:
        path = f"/v1/fine_tuning/jobs/{quote(id_)}"
        return FineTuningJob.received(await self.gateway.peer.json("GET", path))

    async def _events(
        self, id_: str, *, limit: int, after: str | None = None
    ) -> FineTuningEventPage:
        params = {"limit": str(limit), **({"after": after} if after else {})}
        path = f"/v1/fine_tuning/jobs/{quote(id_)}/events"
        reply = await self.gateway.peer.json("GET", path, params=params)
        return FineTuningEventPage.received(reply)
