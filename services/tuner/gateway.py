"""The gateway's job routes, as the worker calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.http import Peer
from services.contracts.jobs import (
    JobClaim,
    JobResult,
    JobsAsked,
    JobsOver,
    Lease,
    LeaseRenewal,
    LeaseState,
)


@dataclass(frozen=True, slots=True)
class JobQueue:
    """Claims, renews and finishes jobs over HTTP."""

    peer: Peer

    async def claim(self, worker: str, job: str | None = None) -> Lease | None:
        """Ask for the oldest job that nobody holds, or for this one."""
        body = JobClaim(worker=worker, job=job).model_dump()
        reply = await self.peer.json("POST", "/internal/jobs/claim", body=body)
        return Lease.received(reply) if reply else None

    async def renew(self, job: str, renewal: LeaseRenewal) -> LeaseState:
        """Prolong a lease and report progress."""
        path = f"/internal/jobs/{job}/renew"
        return LeaseState.received(await self.peer.json("POST", path, body=renewal.model_dump()))

    async def finish(self, job: str, result: JobResult) -> None:
        """Say how a job ended."""
        await self.peer.json("POST", f"/internal/jobs/{job}/finish", body=result.model_dump())

    async def over(self, jobs: Sequence[str]) -> list[str]:
        """Ask which jobs have ended or are not known."""
        body = JobsAsked(jobs=list(jobs)).model_dump()
        reply = await self.peer.json("POST", "/internal/jobs/over", body=body)
        return JobsOver.received(reply).jobs
