"""`leo alerts backtest`, as a user types it, over a file of bars and over lines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from leo.activation.v1 import alert_service_pb2 as wire

from server.cli.alert_draft import read_draft
from server.cli.failure import CommandFailed
from server.embedded.state import checkout_directory
from tests.cli.test_cli import leo
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

BARS = checkout_directory() / "loadtest" / "data" / "daily_stocks.csv.gz"
ABOVE = {"symbol": "AAPL", "logic": {"operator": "ABOVE", "price": 2}}


async def test_a_rule_is_tried_on_a_file_and_on_lines(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, tmp_path: Path, proof: asyncpg.Connection
) -> None:
    await proof.execute(
        "insert into instruments (tenant_id, symbol, instrument_name, type) values ($1, 'AAPL', 'A', 'STOCK')",
        tenant_a,
    )
    there = ("--server", running_server, "--token", token_for(tenant_a, ["alerts.read"]))

    async def run(*arguments: str) -> tuple[int, str, str]:
        shown = await asyncio.to_thread(
            lambda: leo("alerts", "backtest", *arguments, *there, state=tmp_path, COLUMNS="200")
        )
        return shown.returncode, shown.stdout, shown.stderr

    high = json.dumps({"symbol": "AAPL", "logic": {"operator": "NEW_HIGH", "days": 250}})
    status, output, errors = await run(str(BARS), "--rule", high, "--sample", "2")
    assert status == 0, errors
    assert output.startswith("NEW_HIGH on AAPL would have fired ")
    assert " times (" in output
    assert "more; --sample lists up to 10,000" in output
    lines = [
        {"symbol": "AAPL", "price": p, "time": f"2023-11-14T22:13:0{n}Z"} for n, p in enumerate((1, 3, 2, 4))
    ]
    path, rule = tmp_path / "ticks.ndjson", tmp_path / "rule.json"
    path.write_text("\n".join([*map(json.dumps, lines), "oops"]))
    rule.write_text(json.dumps(ABOVE))
    status, output, errors = await run(str(path), "--rule", str(rule))
    assert "ABOVE on AAPL would have fired 2 times (4 ticks" in output, errors
    assert [line for line in output.splitlines() if "2023-11-14T22:13:03Z" in line and " 4 " in line]
    assert "1 lines could not be read" in output
    status, _, errors = await run(str(path), "--rule", json.dumps({**ABOVE, "symbol": "GOOG"}))
    assert (status, "draft.symbol" in errors, "Traceback" in errors) == (1, True, False)
    for arguments in (
        ("wss://x", "--rule", "{}"),
        (str(path), "--rule", "missing.json"),
        ("no.csv", "--rule", "{}"),
    ):
        status, _, errors = await run(*arguments)
        assert (status, "Traceback" in errors) == (1, False), errors


def test_a_rule_is_written_with_prices_and_percents() -> None:
    draft = read_draft(
        '{"symbol": "A", "logic": {"operator": "moves_within", "direction": "UP", "change_percent": 0.5,'
        ' "window_seconds": 600}, "cooldown_seconds": 60, "repeat": "ONCE"}'
    )
    assert (draft.logic.operator, draft.logic.change_ppm) == (wire.ALERT_OPERATOR_MOVES_WITHIN, 5_000)
    assert (draft.repeat, draft.cooldown_seconds) == (wire.ALERT_REPEAT_ONCE, 60)
    band = read_draft(
        '{"symbol": "A", "logic": {"operator": "BETWEEN", "low_price": 0.1, "high_price": "0.3"}}'
    )
    assert (band.logic.low_price_nanos, band.logic.high_price_nanos) == (100_000_000, 300_000_000)
    assert band.repeat == wire.ALERT_REPEAT_REARM
    assert read_draft('{"logic": {"volume": 1.5}}').logic.volume_micros == 1_500_000


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "7",
            '{"symbol": 7}',
            '{"logic": {"price": "x"}}',
            '{"logic": {"change_percent": 0.00001}}',
        ),
        *(
            '{"colour": 1}',
            '{"logic": 7}',
            '{"logic": {"operator": "SIDEWAYS"}}',
            '{"logic": {"change_percent": "5"}}',
        ),
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed, match="the rule is no JSON object"):
        read_draft(text)
