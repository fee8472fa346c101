"""From a bearer key to a caller."""

from __future__ import annotations

import pytest

from services.chassis.credentials import key_hash
from services.chassis.errors import ServiceError
from services.contracts.keys import Scope
from services.gateway.identity import identify, require_scope, with_asserted_groups
from services.gateway.registry.snapshot import Caller, Snapshot

TOKEN = "ink_abcdefgh_" + "k" * 43


def caller(*scopes: Scope, groups: tuple[str, ...] = (), expires_at: int | None = None) -> Caller:
    return Caller("abcdefgh", "default", frozenset(scopes), groups, expires_at)


def known(who: Caller) -> Snapshot:
    return Snapshot(callers={key_hash(TOKEN): who})


def code_of(error: pytest.ExceptionInfo[ServiceError]) -> str:
    return error.value.code


def test_a_known_key_is_its_caller() -> None:
    who = caller(Scope.APP)
    assert identify(TOKEN, known(who), now=1.0) is who


@pytest.mark.parametrize("token", [None, ""])
def test_no_key_is_not_an_unknown_key(token: str | None) -> None:
    with pytest.raises(ServiceError) as error:
        identify(token, known(caller()), now=1.0)
    assert code_of(error) == "missing_api_key"


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN + "k", TOKEN.upper(), "abcdefgh", "키"])
def test_another_key_is_unknown(token: str) -> None:
    with pytest.raises(ServiceError) as error:
        identify(token, known(caller()), now=1.0)
    assert (error.value.status, code_of(error)) == (401, "invalid_api_key")


def test_a_key_ends_at_its_second() -> None:
    who = caller(expires_at=100)
    assert identify(TOKEN, known(who), now=99.9) is who
    with pytest.raises(ServiceError) as error:
        identify(TOKEN, known(who), now=100.0)
    assert code_of(error) == "expired_api_key"


def test_one_of_the_scopes_is_enough_and_none_is_not() -> None:
    who = caller(Scope.KNOWLEDGE)
    assert require_scope(who, Scope.APP, Scope.KNOWLEDGE) is who
    with pytest.raises(ServiceError) as error:
        require_scope(who, Scope.APP, Scope.OPERATOR)
    assert error.value.status == 403
    assert "`app` or `operator`" in error.value.message


def test_groups_are_only_ever_narrowed() -> None:
    who = caller(Scope.ASSERT_GROUPS, groups=("영업", "a,b"))
    assert with_asserted_groups(who, None).groups == ("영업", "a,b")
    assert with_asserted_groups(who, "a%2Cb").groups == ("a,b",)
    assert with_asserted_groups(who, " , ").groups == ()
    for header in ("hr", "영업,hr", "a,b"):
        with pytest.raises(ServiceError) as error:
            with_asserted_groups(who, header)
        assert code_of(error) == "groups_refused"


def test_a_key_without_the_scope_may_not_even_name_its_own_groups() -> None:
    with pytest.raises(ServiceError) as error:
        with_asserted_groups(caller(Scope.APP, groups=("x",)), "x")
    assert code_of(error) == "groups_refused"
