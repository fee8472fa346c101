"""What routes ask for: the process's resources, the caller, and the right to be here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Query, Request
from starlette.requests import HTTPConnection

from services.chassis.credentials import bearer_token
from services.chassis.errors import InvalidRequest
from services.contracts.audit import REASON_HEADER
from services.contracts.files import FileId
from services.contracts.keys import Scope
from services.contracts.knowledge import GROUPS_HEADER
from services.gateway.identity import identify, require_scope, with_asserted_groups
from services.gateway.registry.changes import Actor
from services.gateway.registry.files import Order
from services.gateway.registry.idempotency import Attempt
from services.gateway.registry.paging import Page
from services.gateway.registry.snapshot import Caller
from services.gateway.registry.versions import Expected
from services.gateway.resources import Resources

_MAX_REASON_CHARACTERS = 500
_MAX_IDEMPOTENCY_CHARACTERS = 255
_MAX_VERSION_DIGITS = 9


def resources_of(connection: HTTPConnection) -> Resources:
    """Read what the process owns; the only place that touches `app.state`."""
    resources: Resources = connection.app.state.resources
    return resources


def caller_of(connection: HTTPConnection) -> Caller:
    """Identify the caller of a request and note that the key was used.

    Raises:
        Unauthenticated: without a valid key.
        GroupsRefused: when the request names groups that the key may not name.
    """
    resources = resources_of(connection)
    now = resources.registry.clock()
    caller = identify(bearer_token(connection), resources.snapshot, now)
    resources.key_usage.note(caller.key_id)
    return with_asserted_groups(caller, connection.headers.get(GROUPS_HEADER))


async def _resources(request: Request) -> Resources:
    return resources_of(request)


async def _operator(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.OPERATOR)


async def _internal(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.INTERNAL)


async def _app(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.APP)


async def _reader(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.APP, Scope.KNOWLEDGE)


async def _writer(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.KNOWLEDGE)


async def _filer(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.KNOWLEDGE, Scope.OPERATOR)


async def _content_reader(request: Request) -> Caller:
    return require_scope(caller_of(request), Scope.CONTENT)


ResourcesDep = Annotated[Resources, Depends(_resources)]
"""Everything that the process owns."""

Operator = Annotated[Caller, Depends(_operator)]
"""A caller who may administer the tenant."""

Internal = Annotated[Caller, Depends(_internal)]
"""Another service of this installation."""

AppCaller = Annotated[Caller, Depends(_app)]
"""A caller who may chat."""

Reader = Annotated[Caller, Depends(_reader)]
"""A caller who may search and read documents."""

Writer = Annotated[Caller, Depends(_writer)]
"""A caller who may change documents."""

Filer = Annotated[Caller, Depends(_filer)]
"""A caller who may keep files: for knowledge, or for training."""


ContentReader = Annotated[Caller, Depends(_content_reader)]
"""A caller who may read and erase what the content store keeps."""


async def _actor(request: Request, operator: Operator) -> Actor:
    return Actor(operator.tenant, operator.key_id, _reason(request))


async def _content_actor(request: Request, reader: ContentReader) -> Actor:
    return Actor(reader.tenant, reader.key_id, _reason(request))


def _reason(request: Request) -> str | None:
    given = request.headers.get(REASON_HEADER)
    reason = unquote(given).strip() if given is not None else None
    if reason is not None and (len(reason) > _MAX_REASON_CHARACTERS or not reason.isprintable()):
        raise InvalidRequest(
            f"{REASON_HEADER} holds at most {_MAX_REASON_CHARACTERS} printable characters, "
            "percent-encoded.",
            param=REASON_HEADER,
        )
    return reason or None


async def _attempt(request: Request, resources: ResourcesDep, _: Operator) -> Attempt | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_IDEMPOTENCY_CHARACTERS or not key.isprintable():
        raise InvalidRequest(
            f"Idempotency-Key holds 1 to {_MAX_IDEMPOTENCY_CHARACTERS} printable characters.",
            param="Idempotency-Key",
        )
    return Attempt(key, bearer_token(request) or "", resources.idempotency_ttl_seconds)


async def _expected(request: Request, _: Operator) -> Expected:
    return _if_match(request)


async def _expected_by_writer(request: Request, _: Writer) -> Expected:
    return _if_match(request)


def _if_match(request: Request) -> Expected:
    given = request.headers.get("If-Match")
    if given is None:
        return None
    version = given.strip().removeprefix("W/").strip('"')
    if version == "*":
        return "any"
    if not version.isdecimal() or len(version) > _MAX_VERSION_DIGITS:
        raise InvalidRequest(
            "If-Match holds a version, as the ETag gives it, or *.", param="If-Match"
        )
    return int(version)


async def _page(
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=255)] = None,
) -> Page:
    return Page(limit, after)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A page of a list in OpenAI's manner, and its direction."""

    page: Page
    order: Order


async def _cursor(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[FileId | None, Query()] = None,
    before: str | None = None,
    order: Order = "desc",
) -> Cursor:
    if before is not None:
        raise InvalidRequest(
            "Lists are read forwards; send `after`, and `order` for the other direction.",
            code="before_unsupported",
            param="before",
        )
    return Cursor(Page(limit, after), order)


ActorDep = Annotated[Actor, Depends(_actor)]
"""The operator who changes something, with the reason from `X-Inkstone-Reason`."""

ContentActorDep = Annotated[Actor, Depends(_content_actor)]
"""The caller who erases content, with the reason."""

AttemptDep = Annotated[Attempt | None, Depends(_attempt)]
"""The request's `Idempotency-Key`, when it has one."""

ExpectedDep = Annotated[Expected, Depends(_expected)]
"""The version that the operator has seen, from `If-Match`."""

WriterExpectedDep = Annotated[Expected, Depends(_expected_by_writer)]
"""The same of a caller who may change documents."""

PageDep = Annotated[Page, Depends(_page)]
"""`limit` and `after` of a list."""

CursorDep = Annotated[Cursor, Depends(_cursor)]
"""`limit`, `after` and `order` of a list in OpenAI's manner."""
