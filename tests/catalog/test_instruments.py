"""Instruments: a tenant's own, and the global ones."""

from __future__ import annotations

from typing import Any

import asyncpg
import grpc
from leo.activation.v1 import catalog_service_pb2 as wire

from tests.catalog.conftest import Catalog


def instrument(symbol: str = "AAPL", **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "type": wire.INSTRUMENT_TYPE_STOCK, "currency": "USD", **fields}


async def test_only_changed_instruments_are_written(catalog: Catalog, proof: asyncpg.Connection[Any]) -> None:
    two = [instrument("MSFT"), instrument("AAPL", metadata=b'{"sector": "tech"}')]
    assert (await catalog.call("PutInstruments", instruments=two)).changed_count == 2
    assert (await catalog.call("PutInstruments", instruments=two)).changed_count == 0
    two[0]["exchange"] = "NASDAQ"
    assert (await catalog.call("PutInstruments", instruments=two)).changed_count == 1
    listed = (await catalog.call("ListInstruments")).instruments
    assert [(item.symbol, item.exchange) for item in listed] == [("AAPL", ""), ("MSFT", "NASDAQ")]
    assert await proof.fetchval("select count(*) from instruments") == 2


async def test_global_instruments_are_seen_and_not_changed(
    catalog: Catalog, other_catalog: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    await proof.execute(
        "insert into instruments (symbol, instrument_name, type) values ('AAPL', 'Apple', 'STOCK')"
    )
    await catalog.call("PutInstruments", instruments=[instrument(instrument_name="Mine")])
    pages: list[tuple[str, bool]] = []
    token = ""
    while not pages or token:
        part = await catalog.call("ListInstruments", page={"page_size": 1, "page_token": token})
        pages += [(item.instrument_name, getattr(item, "global")) for item in part.instruments]
        token = part.page.next_page_token
    assert pages == [("Mine", False), ("Apple", True)]
    theirs = (await other_catalog.call("ListInstruments")).instruments
    assert [item.instrument_name for item in theirs] == ["Apple"]


BAD: list[list[dict[str, Any]]] = [
    [],
    [instrument()] * 2,
    [instrument(f"S{number}") for number in range(1001)],
    [instrument("")],
    [instrument("A B")],
    [instrument("É")],
    [instrument(type=0)],
    [instrument(type=99)],
    [instrument(currency="usd")],
    [instrument("GOOD"), instrument("BAD", metadata=b"[]")],
]


async def test_bad_batches_are_refused_as_a_whole(catalog: Catalog) -> None:
    for batch in BAD:
        refused = await catalog.refusal("PutInstruments", instruments=batch)
        assert refused == grpc.StatusCode.INVALID_ARGUMENT, batch[:2]
    assert len((await catalog.call("ListInstruments")).instruments) == 0
