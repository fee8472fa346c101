"""Who is calling: from a bearer key to a caller, by memory alone."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

from services.chassis.credentials import key_hash
from services.chassis.errors import Forbidden, Unauthenticated
from services.contracts.keys import Scope
from services.gateway.registry.snapshot import Caller, Snapshot


class MissingScope(Forbidden):
    """The key does not carry the scope that the route asks for."""

    code = "missing_scope"


class GroupsRefused(Forbidden):
    """The key may not speak for these groups."""

    code = "groups_refused"


def identify(token: str | None, snapshot: Snapshot, now: float) -> Caller:
    """Find the caller that a bearer key stands for.

    Raises:
        Unauthenticated: when there is no key, or none that is valid now.
    """
    if not token:
        raise Unauthenticated(
            "No API key was sent; send `Authorization: Bearer <key>`.", code="missing_api_key"
        )
    caller = snapshot.callers.get(key_hash(token))
    if caller is None:
        raise Unauthenticated("The API key is not known or was revoked; check the key.")
    if caller.expires_at is not None and caller.expires_at <= now:
        raise Unauthenticated(
            "The API key has expired; ask an operator for a new one.", code="expired_api_key"
        )
    return caller


def require_scope(caller: Caller, *scopes: Scope) -> Caller:
    """Let a caller pass who carries one of the scopes.

    Raises:
        MissingScope: for any other caller.
    """
    if any(caller.may(scope) for scope in scopes):
        return caller
    needed = " or ".join(f"`{scope}`" for scope in scopes)
    raise MissingScope(f"This key lacks the scope {needed}; use a key that carries it.")


def with_asserted_groups(caller: Caller, header: str | None) -> Caller:
    """Narrow a caller to the end user's groups that a trusted app names.

    Args:
        header: the value of `X-Inkstone-Groups`: comma-separated, percent-encoded; None keeps the
            key's own groups.

    Raises:
        GroupsRefused: when the key may not name groups, or not these.
    """
    if header is None:
        return caller
    if not caller.may(Scope.ASSERT_GROUPS):
        raise GroupsRefused(
            "This key may not name groups; leave X-Inkstone-Groups out or use a key with the scope "
            "`assert-groups`."
        )
    named = tuple(unquote(part.strip()) for part in header.split(",") if part.strip())
    if foreign := sorted(set(named) - set(caller.groups)):
        raise GroupsRefused(
            f"This key has no group named {', '.join(foreign)}; name groups that the key has."
        )
    return replace(caller, groups=named, for_end_user=True)
