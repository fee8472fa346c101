"""Asking a Prometheus for one number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from services.chassis.errors import ServiceError
from services.chassis.http import Peer

_PATH = "/api/v1/query"
_FORM = "application/x-www-form-urlencoded"


class NoValue(Exception):
    """There is no number to go by; the message says why, and continues `the query`."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus, or anything that speaks its HTTP API."""

    peer: Peer
    max_reply_bytes: int
    """A longer reply is not read: it is no single number."""

    async def value(self, query: str) -> float:
        """Evaluate a PromQL expression now.

        Raises:
            NoValue: the answer is not one finite number, or there is none.
        """
        form = urlencode({"query": query}).encode()
        try:
            async with self.peer.stream("POST", _PATH, data=form, content_type=_FORM) as reply:
                payload = await reply.content.read(self.max_reply_bytes + 1)
                while not reply.content.at_eof() and len(payload) <= self.max_reply_bytes:
                    payload += await reply.content.read(self.max_reply_bytes + 1 - len(payload))
        except ServiceError as error:
            raise NoValue(f"got no answer: {error.message}") from error
        if len(payload) > self.max_reply_bytes:
            raise NoValue(f"got an answer of more than {self.max_reply_bytes} bytes")
        return _number_of(payload)


def _number_of(payload: bytes) -> float:
    """Read the one sample of a scalar or of a vector.

    The shape is that of https://prometheus.io/docs/prometheus/latest/querying/api/.
    """
    try:
        data = orjson.loads(payload)["data"]
        samples = _samples_of(data)
        values = [float(sample[1]) for sample in samples]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NoValue("got an answer that is none of Prometheus's") from error
    if len(values) != 1:
        raise NoValue(f"found {len(values) or 'no'} series and needs one; aggregate them")
    if not math.isfinite(values[0]):
        raise NoValue(f"says {values[0]}, which is no figure")
    return values[0]


def _samples_of(data: Any) -> list[Any]:
    if data["resultType"] == "scalar":
        return [data["result"]]
    if data["resultType"] == "vector":
        return [series["value"] for series in data["result"]]
    raise ValueError(data["resultType"])
