"""How asyncpg carries JSON (as text, unparsed) and pgvector's `vector` (as floats)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from server.platform.queries import Queries
from server.platform.transactions import Connection

_JSONB_VERSION = b"\x01"
_VECTOR_HEAD = struct.Struct("!HH")


async def register_codecs(connection: Connection) -> None:
    """Teach a new connection json and jsonb (`str` or `bytes` in, `str` out) and `vector` (floats).

    A few round trips, once per connection.
    """
    for name, version in (("json", b""), ("jsonb", _JSONB_VERSION)):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            format="binary",
            encoder=_json_encoder(version),
            decoder=_json_decoder(len(version)),
        )
    schema = await connection.fetchval(Queries.load("platform")["vector_schema"])
    if schema is not None:
        await connection.set_type_codec(
            "vector",
            schema=schema,
            format="binary",
            encoder=encode_vector,
            decoder=decode_vector,
        )


def encode_vector(values: Sequence[float]) -> bytes:
    """pgvector's binary form: dimensions, a reserved zero, then big-endian 32-bit floats."""
    return _VECTOR_HEAD.pack(len(values), 0) + struct.pack(f"!{len(values)}f", *values)


def decode_vector(data: bytes) -> tuple[float, ...]:
    """The reverse of `encode_vector`."""
    dimensions, _ = _VECTOR_HEAD.unpack_from(data)
    return struct.unpack_from(f"!{dimensions}f", data, _VECTOR_HEAD.size)


def _json_encoder(version: bytes) -> Callable[[str | bytes], bytes]:
    def encode(document: str | bytes) -> bytes:
        return version + (document.encode() if isinstance(document, str) else document)

    return encode


def _json_decoder(skip: int) -> Callable[[bytes], str]:
    def decode(data: bytes) -> str:
        return bytes(data[skip:]).decode()

    return decode
