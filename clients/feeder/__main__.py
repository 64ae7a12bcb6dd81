"""`python -m feeder SOURCE`: stream ticks from a file, a pipe or a WebSocket."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from leo_client import ClientCredentials, LeoApiError, LeoClient
from rich.console import Console

from feeder.bars import BadFile
from feeder.faults import Faults
from feeder.feeding import Answer, Feeder, Summary
from feeder.opening import Opened, UsageFault, Wanted, open_source
from feeder.reporting import Reporter
from feeder.ticks import Fault
from feeder.websocket import SourceAway, WebSocketTicks

_CURABLE: Final = (BadFile, LeoApiError, OSError, SourceAway, UsageFault, ValueError)
_WHAT, _HOW, _LIVE, _WHERE = "What to stream", "How", "WebSocket", "Server"

_HELP = """Stream ticks to LEO Activation, in order, until each is acknowledged.

It goes on after what was acknowledged before, finds the servers that own
the symbols, and repeats what a broken connection left open: no tick is lost
or evaluated twice. What is no tick is told with its line, and the others go
on. Ctrl-C ends it in order; the next run goes on there.
"""
_EXAMPLES = """Examples:

python -m feeder daily_stocks.csv.gz
python -m feeder daily_stocks.csv.gz --speed 86400x
exporter | python -m feeder -
python -m feeder wss://prices.example/ws --subscribe '{"subscribe": ["AAPL"]}'
"""
_SOURCE = typer.Argument(
    help="A CSV of daily bars (FILE.csv, FILE.csv.gz), JSON lines (FILE.ndjson, or - for standard input), "
    "or a WebSocket (ws://…, wss://…)."
)
_FIELDS = typer.Option(
    help="Names of the parts of a JSON tick, e.g. symbol=s,price=p,time=T,volume=q,ticks=data.",
    rich_help_panel=_WHAT,
)
_FEED = typer.Option(
    help="Name of the feed. Files have one by their content. For a pipe it says that the same lines, or lines with "
    "their own growing `sequence`, come again in the next run; for a WebSocket, that its ticks have a `sequence`.",
    rich_help_panel=_WHAT,
)
_GLOBAL = typer.Option(
    "--global", help="The symbols are global instruments; needs the scope ticks.write.", rich_help_panel=_WHAT
)
_SPEED = typer.Option(
    help="original: as the ticks were observed; 60x: so many times quicker; max: as quickly as possible (the default).",
    rich_help_panel=_HOW,
)
_POSITION = typer.Option(
    help="File that keeps how far the feed has come; SOURCE.position or FEED.position where it is left out.",
    rich_help_panel=_HOW,
)
_BATCH = typer.Option(min=1, max=10_000, help="Ticks in a message.", rich_help_panel=_HOW)
_PATIENCE = typer.Option(
    "--patience",
    min=0,
    metavar="SECONDS",
    help="How long to go on trying without any progress.",
    rich_help_panel=_HOW,
)
_FIRINGS = typer.Option("--firings", help="Print each alert that fires, as JSON lines.", rich_help_panel=_HOW)
_SUBSCRIBE = typer.Option(
    metavar="MESSAGE", help="Text to send after connecting; may be repeated.", rich_help_panel=_LIVE
)
_HEADER = typer.Option(
    metavar="'NAME: VALUE'", help="Header of the request; may be repeated.", rich_help_panel=_LIVE
)
_BUFFER = typer.Option(
    min=1,
    help="Ticks that may wait; where it is full, the oldest are dropped, counted and told.",
    rich_help_panel=_LIVE,
)
_SERVER = typer.Option(
    metavar="HOST:PORT",
    help="A server; may be repeated. It names the owners of other symbols.",
    rich_help_panel=_WHERE,
)
_TOKEN = typer.Option(
    envvar="LEO_TOKEN", help="The token to call with, e.g. of `leo token`.", rich_help_panel=_WHERE
)
_TOKEN_URL = typer.Option(
    help="Instead of a token: the issuer's token endpoint, asked with --client-id and LEO_CLIENT_SECRET whenever a "
    "token runs out.",
    rich_help_panel=_WHERE,
)
_CLIENT_ID = typer.Option(help="The client to ask for tokens as.", rich_help_panel=_WHERE)
_CLIENT_SECRET = typer.Option(envvar="LEO_CLIENT_SECRET", hidden=True)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=_HELP, epilog=_EXAMPLES)
def feed(
    source: Annotated[str, _SOURCE],
    fields: Annotated[str, _FIELDS] = "",
    feed: Annotated[str | None, _FEED] = None,
    global_instruments: Annotated[bool, _GLOBAL] = False,
    speed: Annotated[str | None, _SPEED] = None,
    position: Annotated[Path | None, _POSITION] = None,
    batch_size: Annotated[int, _BATCH] = 500,
    patience_seconds: Annotated[float, _PATIENCE] = 60.0,
    firings: Annotated[bool, _FIRINGS] = False,
    subscribe: Annotated[list[str] | None, _SUBSCRIBE] = None,
    header: Annotated[list[str] | None, _HEADER] = None,
    buffer: Annotated[int, _BUFFER] = 100_000,
    server: Annotated[list[str], _SERVER] = ["127.0.0.1:50051"],  # noqa: B006 - typer copies it
    token: Annotated[str, _TOKEN] = "",
    token_url: Annotated[str, _TOKEN_URL] = "",
    client_id: Annotated[str, _CLIENT_ID] = "",
    client_secret: Annotated[str, _CLIENT_SECRET] = "",
) -> None:
    """Stream ticks from a file, a pipe or a WebSocket."""
    console = Console(stderr=True)
    connect = _connector(token, token_url, client_id, client_secret)
    wanted = Wanted(
        source=source,
        feed=feed,
        position=position,
        speed=speed,
        fields=fields,
        subscribe=subscribe or (),
        headers=_headers(header or ()),
        capacity=buffer,
        patience_seconds=patience_seconds,
    )
    run = _Run(console, firings=firings)
    opened = open_source(wanted, on_fault=run.unread.add, tell=run.tell)
    feeder = Feeder(
        connect=connect,
        addresses=server,
        feed=opened.feed,
        position=opened.position,
        global_instruments=global_instruments,
        batch_size=batch_size,
        patience_seconds=patience_seconds,
        on_answer=run.answered,
    )
    asyncio.run(run.stream(feeder, opened))


class _Run:
    """One run, and what is told of it."""

    def __init__(self, console: Console, *, firings: bool) -> None:
        self._console = console
        self._firings = firings
        self._reporter: Reporter | None = None
        self._so_far = Summary()
        self.unread = Faults(self.tell)
        self.refused = Faults(self.tell)

    def tell(self, line: str) -> None:
        """A line on standard error."""
        (self._reporter or Reporter(self._console, None)).tell(line)

    def answered(self, answer: Answer) -> None:
        """What the server says of a message."""
        self._so_far.add(answer.result)
        for sequence, tick, fault in answer.refused():
            self.refused.add(Fault(f"tick {sequence} ({tick.symbol})", f"refused: {fault}"))
        if self._firings:
            for line in answer.firings():
                print(line, flush=True)  # noqa: T201 - this is the output that was asked for

    async def stream(self, feeder: Feeder, opened: Opened) -> None:
        """Stream, and say what became of it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, feeder, number)
        before = opened.position.acknowledged
        with Reporter(self._console, opened.source.total) as self._reporter:
            if before:
                self.tell(f"going on after tick {before:,}, as {opened.feed} was acknowledged up to there")
            summary = await feeder.run(opened.source, self._progress)
        self._console.print("\n".join(self._told(summary, opened)), highlight=False, soft_wrap=True)

    def _progress(self, acknowledged: int) -> None:
        if self._reporter is not None:
            self._reporter.update(acknowledged, self._so_far)

    def _stop(self, feeder: Feeder, number: signal.Signals) -> None:
        self.tell("stopping: what was read is sent first; once more ends it at once")
        asyncio.get_running_loop().remove_signal_handler(number)
        feeder.stop()

    def _told(self, summary: Summary, opened: Opened) -> list[str]:
        lines = [
            f"{summary.accepted:,} ticks accepted, {summary.duplicates:,} known already, {summary.bad:,} refused; "
            f"{summary.fired:,} alerts fired"
        ]
        if self.unread.count:
            lines.append(f"{self.unread.count:,} could not be read")
        if isinstance(opened.source, WebSocketTicks):
            lines += _told_of_source(opened.source)
        return lines


def _told_of_source(source: WebSocketTicks) -> list[str]:
    counts = {
        "ticks dropped, since the buffer was full": source.dropped,
        "ticks never arrived, by their sequences": source.missing,
        "ticks came again": source.repeated,
        "messages held no tick": source.without_ticks,
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _connector(token: str, token_url: str, client_id: str, client_secret: str) -> Callable[[str], LeoClient]:
    if not token and not token_url:
        raise UsageFault("a token is missing: set LEO_TOKEN (`leo token` prints one), or --token-url")
    if token_url and not (client_id and client_secret):
        raise UsageFault("--token-url needs --client-id, and the secret in LEO_CLIENT_SECRET")
    if not token_url:
        return lambda address: LeoClient(address, token=token)
    source = ClientCredentials(token_url, client_id=client_id, client_secret=client_secret)
    return lambda address: LeoClient(address, token=source)


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UsageFault(f"a header is NAME: VALUE, not {text!r}")
        headers[name.strip()] = value.strip()
    return headers


def main() -> None:
    """Run the command; exit status 1 when it cannot do its work."""
    try:
        app()
    except _CURABLE as error:
        Console(stderr=True, soft_wrap=True).print(f"feeder: {error}", style="red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
