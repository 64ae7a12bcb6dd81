"""`leo alerts backtest`: how often a rule would have fired over the ticks of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from feeder.bars import BadFile
from feeder.faults import Faults
from feeder.opening import UsageFault, Wanted, source_after
from feeder.sources import Source
from feeder.ticks import Tick
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client.prices import from_price_nanos
from rich.console import Console
from rich.table import Table

from server.cli.alert_draft import read_draft
from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

_DEADLINE_SECONDS: Final = 3_600.0
_TICKS_OF_A_MESSAGE: Final = 5_000

_SOURCE = typer.Argument(
    help="A CSV of daily bars (FILE.csv, FILE.csv.gz), or JSON lines (FILE.ndjson, or - for standard input)."
)
_RULE = typer.Option(
    help='The rule: a JSON object, or the file of one, e.g. {"symbol": "AAPL", "logic": {"operator": "ABOVE", '
    '"price": 187.25}}. It re-arms, unless it says {"repeat": "ONCE"}.'
)
_SAMPLE = typer.Option(min=0, max=10_000, help="How many firings to list.")
_FIELDS = typer.Option(help="Names of the parts of a JSON tick, e.g. symbol=s,price=p,time=T.")


def backtest(
    source: Annotated[str, _SOURCE],
    rule: Annotated[str, _RULE],
    sample: Annotated[int, _SAMPLE] = 20,
    fields: Annotated[str, _FIELDS] = "",
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Try a rule on ticks of the past, by the engine of live ticks: how often it would have fired, and when."""
    console = Console(soft_wrap=True)
    unread = Faults(Console(stderr=True, soft_wrap=True).print)
    draft = read_draft(rule if rule.lstrip().startswith("{") else _text_of(Path(rule)))
    draft.sample_size = sample
    messages = _Messages(draft, _opened(source, fields, unread))
    with calling(server, token) as client:
        answer = client.alerts.BacktestAlert(iter(messages), timeout=_DEADLINE_SECONDS)
    if messages.failure is not None:
        raise CommandFailed(str(messages.failure)) from messages.failure
    print_report(console, draft, answer)
    if unread.count:
        console.print(f"{unread.count:,} lines could not be read")


class _Messages:
    """What is streamed. gRPC asks for it in a thread of its own, where a failure would be told to nobody."""

    def __init__(self, draft: wire.AlertDraft, source: Source) -> None:
        self._draft = draft
        self._source = source
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[wire.BacktestAlertRequest]:
        yield wire.BacktestAlertRequest(draft=self._draft)
        try:
            with asyncio.Runner() as runner:
                while part := runner.run(self._source.take(_TICKS_OF_A_MESSAGE)):
                    own = [tick for _, tick in part if tick.symbol == self._draft.symbol]
                    if own:
                        yield wire.BacktestAlertRequest(batch=_batch(own))
        except (BadFile, OSError) as error:
            self.failure = error


def print_report(console: Console, draft: wire.AlertDraft, answer: wire.BacktestAlertResponse) -> None:
    """The report for people."""
    operator = wire.AlertOperator.Name(draft.logic.operator).removeprefix("ALERT_OPERATOR_")
    span = f", {_time(answer.first_at)} to {_time(answer.last_at)}" if answer.HasField("first_at") else ""
    times = "once" if answer.fired_count == 1 else f"{answer.fired_count:,} times"
    console.print(
        f"{operator} on {draft.symbol} would have fired {times} ({answer.accepted_count:,} ticks{span})",
        highlight=False,
    )
    if answer.firings:
        console.print(_table(answer))
    if answer.fired_count > len(answer.firings):
        console.print(f"… and {answer.fired_count - len(answer.firings):,} more; --sample lists up to 10,000")
    if answer.bad_count:
        faults = {wire.TickFault.Name(bad.fault).removeprefix("TICK_FAULT_") for bad in answer.bad_ticks}
        console.print(f"{answer.bad_count:,} ticks were refused: {', '.join(sorted(faults))}")


def _table(answer: wire.BacktestAlertResponse) -> Table:
    table = Table()
    for heading in ("time", "price", "before", "compared with"):
        table.add_column(heading, justify="left" if heading == "time" else "right")
    for firing in answer.firings:
        prices = (firing.price_nanos, firing.previous_price_nanos, firing.reference_price_nanos)
        table.add_row(_time(firing.fired_at), *(_price(price) for price in prices))
    return table


def _opened(source: str, fields: str, unread: Faults) -> Source:
    wanted = Wanted(source=source, fields=fields)
    if wanted.is_live:
        raise CommandFailed("a WebSocket has no past; give a file, or - for standard input")
    try:
        wanted.check()
        return source_after(wanted, 0, on_fault=unread.add, tell=typer.echo)
    except (BadFile, UsageFault, ValueError, OSError) as error:
        raise CommandFailed(str(error)) from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"the rule can not be read: {error}") from error


def _batch(own: list[Tick]) -> wire.TickBatch:
    return wire.TickBatch(
        symbols=[own[0].symbol],
        symbol_indices=[0] * len(own),
        price_nanos=[tick.price_nanos for tick in own],
        observed_at_us=[tick.observed_at_us for tick in own],
        volume_micros=[tick.volume_micros for tick in own],
    )


def _price(nanos: int) -> str:
    return f"{from_price_nanos(nanos).normalize():f}" if nanos else ""


def _time(moment: Timestamp) -> str:
    return moment.ToJsonString()
