"""Deterministic ids: the same content gives the same id, here and in SQL.

The SQL functions `leo_key_id`, `leo_content_id` and `leo_audience_sha256` (db/migrations/0001_foundation.sql)
define these; a property test compares both. Nothing here talks to PostgreSQL or Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring
from uuid import UUID

# What numeric holds: digits before and after the decimal point.
_INTEGER_DIGITS = 131_072
_FRACTION_DIGITS = 16_383
# As in the SQL function `leo_audience_block`.
_BLOCK_MEMBERS = 10_000


def key_id(kind: str, tenant_id: UUID, *parts: str) -> str:
    """Return the id of whatever these parts name: 64 lower-case hex digits.

    Args:
        kind: what is named, e.g. `task`, so that equal parts of two kinds differ.
        tenant_id: the tenant that it belongs to.
        parts: the natural key, in a fixed order; ("ab", "c") and ("a", "bc") give different ids.

    Raises:
        ValueError: a part holds NUL or a lone surrogate, which PostgreSQL could not hold.
    """
    material = _prefix(kind, tenant_id)
    for part in parts:
        encoded = part.encode()
        material += b"%d:%b" % (len(encoded), encoded)
    if b"\0" in material:
        raise ValueError("an id has no part that holds NUL")
    return sha256(material).hexdigest()


def key_digests(kind: str, tenant_id: UUID, *parts: str) -> Callable[[str], bytes]:
    """Return what gives, for a last part, the 32 bytes that `key_id` spells out: quicker for many last parts.

    Raises:
        ValueError: as `key_id`; the returned function too.
    """
    begun = sha256(_prefix(kind, tenant_id) + b"".join(_measured(part) for part in parts))

    def digest(last: str) -> bytes:
        whole = begun.copy()
        whole.update(_measured(last))
        return whole.digest()

    return digest


def content_id(kind: str, tenant_id: UUID, content: object) -> str:
    """Return the id of a JSON document: equal documents, however written, give equal ids.

    Raises:
        ValueError, TypeError: as `canonical_json`.
    """
    return key_id(kind, tenant_id, canonical_json(content))


def audience_sha256(profile_ids: Iterable[str]) -> str:
    """Return the hash of a set of profiles: 64 lower-case hex digits, whatever the order.

    More than 10,000 are hashed in blocks of so many, and then the hashes of the blocks, so that SQL need never hold
    all of them.

    Raises:
        ValueError: an id holds NUL or a lone surrogate.
    """
    members = [_measured(profile_id) for profile_id in sorted(set(profile_ids))]
    digests = [
        sha256(b"".join(members[start : start + _BLOCK_MEMBERS])).hexdigest()
        for start in range(0, max(1, len(members)), _BLOCK_MEMBERS)
    ]
    return digests[0] if len(digests) == 1 else sha256(f"blocks:{''.join(digests)}".encode()).hexdigest()


def symbol_shard(symbol: str) -> int:
    """Return the shard of a market symbol, 0 to 63; the same as `leo_symbol_shard`."""
    return sha256(symbol.encode()).digest()[0] & 63


def canonical_json(value: object) -> str:
    """Return the text that PostgreSQL gives a jsonb of this value.

    Args:
        value: None, bool, int, float, Decimal, str, or sequences and string-keyed mappings of these.
            Floats count as the shortest decimal that reads back as the same float.

    Raises:
        ValueError: NaN, an infinity, a number outside of what `numeric` holds, NUL, or a lone surrogate.
        TypeError: a value or a key that JSON has no form for.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float() | Decimal():
            return _number(value)
        case Mapping():
            return _object(value)
        case Sequence() if not isinstance(value, (bytes, bytearray, memoryview)):
            return "[" + ", ".join([canonical_json(item) for item in value]) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


@lru_cache(maxsize=65_536)
def _prefix(kind: str, tenant_id: UUID) -> bytes:
    return _measured(kind) + _measured(str(tenant_id))


def _measured(part: str) -> bytes:
    encoded = part.encode()
    if b"\0" in encoded:
        raise ValueError("an id has no part that holds NUL")
    return b"%d:%b" % (len(encoded), encoded)


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("text that holds NUL cannot be stored")
    if not value.isascii():
        value.encode()  # refuses lone surrogates
    return encode_basestring(value)


def _object(members: Mapping[object, object]) -> str:
    keyed: list[tuple[int, bytes, str]] = []
    for key, value in members.items():
        if not isinstance(key, str):
            raise TypeError("a key of a JSON object is text")
        encoded = key.encode()
        keyed.append((len(encoded), encoded, f"{_text(key)}: {canonical_json(value)}"))
    keyed.sort()
    return "{" + ", ".join([member for _, _, member in keyed]) + "}"


def _number(value: int | float | Decimal) -> str:
    if isinstance(value, int):
        return str(int(value))
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        raise ValueError("JSON has no form for NaN and infinities")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > _FRACTION_DIGITS or (number and number.adjusted() >= _INTEGER_DIGITS):
        raise ValueError("the number has more digits than numeric holds")
    if number.is_zero():
        # numeric has no negative zero, and keeps the zeros behind the point only.
        return format(Decimal((0, (0,), min(exponent, 0))), "f")
    return format(number, "f")
