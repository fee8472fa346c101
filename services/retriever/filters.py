"""Metadata, groups and filters as the index compares them.

Equality looks up hashes of key, type and value in one indexed field; ranges compare numbers and
times under hashed keys. So no key or value that a caller sends can name another field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from services.contracts.knowledge import Comparison, Compound, Filter, Negation, Scalar
from services.retriever.errors import FilterInvalid, FilterTooLarge
from services.retriever.index.port import (
    FACTS,
    NUMBERS,
    READERS,
    AllOf,
    AnyOf,
    Condition,
    InRange,
    NoneOf,
    OneOf,
)

Metadata = Mapping[str, Scalar | Sequence[Scalar]]

_EVERYBODY = "*"
_GROUP = "group:"


def scope_of(tenant: str, collection: str) -> str:
    """Name one tenant's collection inside the shared index; collections contain no slash."""
    return f"{tenant}/{collection}"


def scopes(tenant: str, collections: Iterable[str]) -> tuple[str, ...]:
    """Name some of a tenant's collections as their chunks do, each once."""
    return tuple(dict.fromkeys(scope_of(tenant, name) for name in collections))


def stored_readers(tenant: str, collection: str, allowed_groups: Sequence[str]) -> tuple[str, ...]:
    """Lay out who may find a document: everybody whom its collection is open to, or some groups.

    Scope and reader are one value, so that the engine walks one list and tests nothing more.
    """
    readers = [_GROUP + name for name in allowed_groups] or [_EVERYBODY]
    return tuple(_reader(scope_of(tenant, collection), reader) for reader in readers)


def readers_condition(tenant: str, collections: Iterable[str], groups: Iterable[str]) -> Condition:
    """Match what a caller with these groups may see in some of a tenant's collections."""
    readers = list(dict.fromkeys([_EVERYBODY, *(_GROUP + name for name in groups)]))
    return AnyOf(
        READERS,
        tuple(
            _reader(scope, reader) for scope in scopes(tenant, collections) for reader in readers
        ),
    )


def stored_facts(metadata: Metadata) -> tuple[str, ...]:
    """Lay out metadata for equality."""
    return tuple(
        dict.fromkeys(
            _fact(key, value) for key, values in metadata.items() for value in _all(values)
        )
    )


def stored_numbers(metadata: Metadata) -> dict[str, list[float]]:
    """Lay out metadata for ranges: numbers, and the times that ISO 8601 texts name."""
    found: dict[str, list[float]] = {}
    for key, values in metadata.items():
        for value in _all(values):
            measured = _measure(value)
            if measured is not None:
                kind, number = measured
                found.setdefault(_range_key(key, kind), []).append(number)
    return found


def filter_condition(wanted: Filter, max_conditions: int) -> Condition:
    """Translate a caller's metadata filter.

    A document without the field passes `ne` and `nin` and fails every other comparison.

    Raises:
        FilterInvalid: a value that the comparison cannot use.
        FilterTooLarge: more tests than allowed.
    """
    if _size(wanted) > max_conditions:
        raise FilterTooLarge(
            f"The filter has more than {max_conditions} tests; send a smaller one.", param="filter"
        )
    return _translate(wanted)


def _size(wanted: Filter) -> int:
    """Count tests without recursion, so that deep nesting is refused and not followed."""
    size, left = 0, [wanted]
    while left:
        part = left.pop()
        size += 1
        if isinstance(part, Compound):
            left.extend(part.filters)
        elif isinstance(part, Negation):
            left.append(part.filter)
        elif isinstance(part.value, list):
            size += len(part.value)
    return size


def _translate(wanted: Filter) -> Condition:
    match wanted:
        case Compound(type="and", filters=parts):
            return AllOf(tuple(_translate(part) for part in parts))
        case Compound(filters=parts):
            return OneOf(tuple(_translate(part) for part in parts))
        case Negation(filter=part):
            return NoneOf((_translate(part),))
        case Comparison(type="eq", key=key, value=value):
            return _equals(key, [_single(wanted, value)])
        case Comparison(type="ne", key=key, value=value):
            return NoneOf((_equals(key, [_single(wanted, value)]),))
        case Comparison(type="in", key=key, value=value):
            return _equals(key, _several(wanted, value))
        case Comparison(type="nin", key=key, value=value):
            return NoneOf((_equals(key, _several(wanted, value)),))
        case Comparison(key=key, value=value):
            return _range(wanted, key, _single(wanted, value))


def _equals(key: str, values: Sequence[Scalar]) -> Condition:
    return AnyOf(FACTS, tuple(_fact(key, value) for value in values))


def _range(wanted: Comparison, key: str, value: Scalar) -> Condition:
    measured = _measure(value)
    if measured is None:
        raise FilterInvalid(
            f"`{wanted.type}` compares numbers and ISO 8601 dates; {value!r} is neither.",
            param=f"filter.{key}",
        )
    kind, number = measured
    return InRange(f"{NUMBERS}.{_range_key(key, kind)}", **{wanted.type: number})


def _single(wanted: Comparison, value: Scalar | list[Scalar]) -> Scalar:
    if isinstance(value, list):
        raise FilterInvalid(
            f"`{wanted.type}` takes one value; use `in` or `nin` for a list.",
            param=f"filter.{wanted.key}",
        )
    return value


def _several(wanted: Comparison, value: Scalar | list[Scalar]) -> list[Scalar]:
    if not isinstance(value, list) or not value:
        raise FilterInvalid(
            f"`{wanted.type}` takes a list of one or more values.", param=f"filter.{wanted.key}"
        )
    return value


def _all(values: Scalar | Sequence[Scalar]) -> Sequence[Scalar]:
    if isinstance(values, str):
        return [values]
    return values if isinstance(values, Sequence) else [values]


def _fact(key: str, value: Scalar) -> str:
    if isinstance(value, bool):
        typed = f"b:{value}"
    elif isinstance(value, str):
        typed = f"s:{value}"
    else:
        typed = f"n:{int(value) if value == int(value) else value!r}" if _finite(value) else "n:nan"
    return _digest(f"{len(key)}:{key}={typed}")


def _measure(value: Scalar) -> tuple[str, float] | None:
    """Read a value as a number or a time; a date without a zone is meant in UTC."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return "time", aware.timestamp()
    return ("number", float(value)) if _finite(value) else None


def _finite(value: float) -> bool:
    return value == value and abs(value) < float("1e308")


def _range_key(key: str, kind: str) -> str:
    return f"{kind}_{_digest(key)}"


def _reader(scope: str, reader: str) -> str:
    """Join the two; the length keeps a scope's end from being taken for a reader's beginning."""
    return f"{len(scope)} {scope} {reader}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()
