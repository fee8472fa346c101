"""Admission: places are bounded, in all and by key, and always given back."""

from __future__ import annotations

import contextlib

import pytest

from services.gateway.admission import Admission, GatewayFull, KeyFull


def test_the_process_is_full_at_its_limit() -> None:
    admission = Admission(max_in_flight=2, max_in_flight_per_key=2)
    with admission.admit("a"), admission.admit("b"):
        with pytest.raises(GatewayFull) as caught, admission.admit("c"):
            pass
        assert (caught.value.status, caught.value.code) == (429, "overloaded")
        assert caught.value.retry_after_seconds == 1


def test_one_key_cannot_take_every_place() -> None:
    admission = Admission(max_in_flight=10, max_in_flight_per_key=1)
    with admission.admit("a"):
        with pytest.raises(KeyFull) as caught, admission.admit("a"):
            pass
        assert caught.value.code == "key_overloaded"
        with admission.admit("b"):
            assert admission.in_flight == 2


def test_a_place_is_given_back_when_the_request_fails() -> None:
    admission = Admission(max_in_flight=1, max_in_flight_per_key=1)
    with contextlib.suppress(RuntimeError), admission.admit("a"):
        raise RuntimeError
    with admission.admit("a"):
        assert admission.in_flight == 1
    assert admission.in_flight == 0


def test_a_refusal_takes_no_place() -> None:
    admission = Admission(max_in_flight=1, max_in_flight_per_key=1)
    with admission.admit("a"):
        for _ in range(3):
            with pytest.raises(GatewayFull), admission.admit("a"):
                pass
        assert admission.in_flight == 1
    assert admission.in_flight == 0
