"""Shadow traffic: a candidate answers copies of requests that nobody sees.

A copy is taken when its caller has been answered, holds the same turns and the same passages, and
waits in a short queue until an engine has room. Whatever comes in its way, it is dropped and
counted; it never fails or delays the caller's request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from services.chassis.errors import Overloaded, ServiceError, Unavailable
from services.contracts.adapters import Replica
from services.contracts.chat import ChatRequest
from services.domain.rollouts import split
from services.domain.rollouts.budget import HourlyBudget
from services.gateway.accounts import Account
from services.gateway.clients import engine_errors
from services.gateway.clients.traffic import Crowded
from services.gateway.composition import Composer, open_reply
from services.gateway.content import ContentStore
from services.gateway.conversation import read_conversation
from services.gateway.generation import Generation
from services.gateway.parameters import engine_parameters
from services.gateway.registry.snapshot import Snapshot, Unseen
from services.gateway.resolution import Target, able
from services.gateway.rollouts.shadow_metrics import DropReason, ShadowMetrics


@dataclass(frozen=True, slots=True)
class ShadowBounds:
    """How much room shadow traffic may take."""

    queue: int
    """Copies that may wait."""
    wait_seconds: float
    """How long one may wait."""
    callers_beside: int
    """Requests of callers that may run on a replica beside a copy."""
    timeout_seconds: float
    """How long the candidate may take."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A request that a candidate is to answer, too."""

    asked: Account
    """The account of the request, which is over."""
    request: ChatRequest
    rollout: str
    since: float
    """When it was taken, by the monotonic clock."""

    @property
    def place(self) -> tuple[str, str]:
        """Its tenant and assistant."""
        target = self.asked.target
        return self.asked.caller.tenant, target.model if target else ""


@dataclass(slots=True)
class Shadowing:
    """Takes copies, and has candidates answer them."""

    snapshot: Callable[[], Snapshot]
    composer: Composer
    generation: Generation
    bounds: ShadowBounds
    metrics: ShadowMetrics
    content: ContentStore
    queue: deque[Copy]
    """Those that wait, oldest first."""
    clock: Callable[[], float] = time.monotonic
    _budgets: dict[str, HourlyBudget] = field(default_factory=dict)
    """By rollout; each lasts as long as its candidate answers unseen."""

    def offer(self, account: Account) -> None:
        """Take a copy of a request that is over, if it is one to copy; never waits."""
        if (request := account.request) is None or not _comparable(account):
            return
        assert account.target is not None
        unseen = self.snapshot().unseen.get((account.caller.tenant, account.target.model))
        if unseen is None or not split.chosen(unseen.rollout, account.id, unseen.shadow.percent):
            return
        if len(self.queue) >= self.bounds.queue:
            self.metrics.dropped("queue_full")
        elif self._budget(unseen).left(self.clock()) <= 0:
            self.metrics.dropped("budget")
        else:
            self.queue.append(Copy(account, request, unseen.rollout, self.clock()))

    async def work(self) -> None:
        """Have copies answered until none waits, or callers need every engine."""
        while self.queue:
            snapshot, copy = self.snapshot(), self.queue[0]
            unseen = snapshot.unseen.get(copy.place)
            if unseen is None or copy.rollout != unseen.rollout:
                self._drop_first("rollout_over")
                continue
            if (reason := self._unwanted(copy, unseen)) is not None:
                self._drop_first(reason)
                continue
            target = _target(unseen)
            replicas = able(snapshot, target)
            if not replicas:
                self._drop_first("no_replica")
                continue
            room = self._room(snapshot, target, replicas)
            if room is None:
                return
            self.queue.popleft()
            await self._answer(copy, unseen, *room)

    def _unwanted(self, copy: Copy, unseen: Unseen) -> DropReason | None:
        now = self.clock()
        if now - copy.since > self.bounds.wait_seconds:
            return "too_old"
        return "budget" if self._budget(unseen).left(now) <= 0 else None

    def _drop_first(self, reason: DropReason) -> None:
        self.queue.popleft()
        self.metrics.dropped(reason)

    def _room(
        self, snapshot: Snapshot, target: Target, replicas: list[Replica]
    ) -> tuple[Replica, int] | None:
        """Find the least busy replica with room, and how many callers it has room beside."""
        traffic = self.composer.engines.traffic
        replica = min(replicas, key=lambda each: traffic.all(each.replica))
        # An adapter that needs the slot of a caller's would make that one wait for a whole answer.
        adapters = snapshot.pinned | ({target.adapter} if target.adapter else set())
        callers = self.bounds.callers_beside if len(adapters) <= replica.max_loras else 0
        return (replica, callers) if traffic.of_callers(replica.replica) <= callers else None

    async def _answer(self, copy: Copy, unseen: Unseen, replica: Replica, callers: int) -> None:
        account, seconds = self._opened(copy, unseen), self.bounds.timeout_seconds
        try:
            with engine_errors.deadline(seconds, "answer a copy"):
                async with asyncio.timeout(seconds):
                    await self._ask(account, copy.request, replica, callers)
        except Crowded:
            self.metrics.dropped("callers")
            return
        except ServiceError as error:
            if _is_nobodys_fault(error):
                self.metrics.dropped("engine_away")
                return
            account.fail(error)
        finally:
            account.close()
            self._spend(unseen, account)
        meter = self.generation.meter
        meter.price(account)
        meter.ledger.record(account.row())
        self.metrics.answered(account)
        self.content.keep(account)

    async def _ask(
        self, account: Account, request: ChatRequest, replica: Replica, callers: int
    ) -> None:
        assert account.target is not None
        target = account.target
        conversation = read_conversation(request.messages, target.profile)
        account.caller_system = conversation.caller_system
        parameters = engine_parameters(request, target)
        source = await self.composer.source(
            account, target, [replica], conversation, parameters, beside=callers
        )
        reply = open_reply(account, target, structured=parameters.structured)
        account.finish("compose")
        reply.read(await source.whole(account))
        account.finish("generate")
        self.generation.conclude(account, reply)

    def _opened(self, copy: Copy, unseen: Unseen) -> Account:
        return Account(
            copy.asked.caller,
            copy.asked.request_id,
            target=_target(unseen),
            copy_of=copy.asked.id,
            grounding=copy.asked.grounding,
        )

    def _budget(self, unseen: Unseen) -> HourlyBudget:
        if unseen.rollout not in self._budgets:
            live = {each.rollout for each in self.snapshot().unseen.values()}
            self._budgets = {id_: it for id_, it in self._budgets.items() if id_ in live}
            self._budgets[unseen.rollout] = HourlyBudget(unseen.shadow.max_tokens_per_hour)
        return self._budgets[unseen.rollout]

    def _spend(self, unseen: Unseen, account: Account) -> None:
        """Charge what a copy used; of one that was broken off, at least its prompt."""
        used = account.usage.prompt + account.usage.completion
        if not used and account.prompt_estimate is not None:
            used = account.prompt_estimate()
        self._budget(unseen).spend(used, self.clock())


def _comparable(account: Account) -> bool:
    """Tell whether a request says something about the stable release, and an engine answers it."""
    return (
        account.target is not None
        and account.target.arm == "stable"
        and account.target.release is not None
        and "compose" in account.stages
        and account.grounding.state != "empty"
        and not account.overridden
        and not 400 <= account.status < 500
    )


def _target(unseen: Unseen) -> Target:
    release = unseen.release
    return Target(release.assistant, release.adapter, release, "shadow")


def _is_nobodys_fault(error: ServiceError) -> bool:
    """Tell an engine that is full or away from a candidate that fails."""
    return isinstance(error, Unavailable | Overloaded) or engine_errors.connection_broke(error)
