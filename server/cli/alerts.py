"""`leo alerts`: what fired, as a list or as it happens; who has seen it; silences; and rules tried on past ticks."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated

import grpc
import typer
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import alert_service_pb2 as wire
from leo.activation.v1 import types_pb2
from leo_client import LeoApiError

from server.cli.alert_backtest import backtest
from server.cli.alert_lines import firing_line, silence_line
from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed
from server.platform.clock import utc_now

app = typer.Typer(
    help="Alerts: list, watch, acknowledge, silence; try a rule on past ticks.", no_args_is_help=True
)
app.command()(backtest)

_STATUSES = [name.removeprefix("ALERT_FIRING_STATUS_").lower() for name in wire.AlertFiringStatus.keys()[1:]]
_STATUS = typer.Option(help=f"Those that stand here: {', '.join(_STATUSES)}.")
_UNSEEN = typer.Option("--unseen", help="Those that nobody acknowledged.")
_PROFILE = typer.Option("--profile", help="Of this profile.")
_SYMBOL = typer.Option("--symbol", help="On this symbol.")
_RULE = typer.Option("--rule", help="Of this rule.")
_LIMIT = typer.Option(min=1, max=1000, help="How many to show.")
_RESUME = typer.Option("--resume", help="Go on after the token that an earlier watch ended with.")
_RULE_ID = typer.Argument(help="Id of the rule that fired.")
_GENERATION = typer.Argument(help="Which firing of it.")
_NOTE = typer.Option(help="What to tell others about it.")
_HOURS = typer.Option(min=0.01, help="How long, in hours.")
_SILENCE_HOURS = typer.Option(min=0.01, help="Silence the rule as well, for so many hours.")
_REASON = typer.Option(help="Why.")
_ENDED = typer.Option("--ended", help="Those that have ended as well.")
_SILENCE_ID = typer.Argument(help="Id of the silence.")
# A stream ends at its longest time, when its server does, and where its reader was slow; the next one goes on after it.
_GOES_ON = (
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_PAUSE_SECONDS = 1.0


@app.command(name="list")
def list_firings(
    status: Annotated[str, _STATUS] = "",
    unseen: Annotated[bool, _UNSEEN] = False,
    profile_id: Annotated[str, _PROFILE] = "",
    symbol: Annotated[str, _SYMBOL] = "",
    rule_id: Annotated[str, _RULE] = "",
    limit: Annotated[int, _LIMIT] = 20,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """What fired, the latest first."""
    request = wire.ListAlertFiringsRequest(
        page=types_pb2.PageRequest(page_size=limit),
        status=_status(status),
        unacknowledged_only=unseen,
        profile_id=profile_id,
        symbol=symbol,
        rule_id=rule_id,
    )
    shown = 0
    with calling(server, token) as client:
        while True:
            answer = client.alerts.ListAlertFirings(request)
            for firing in answer.firings[: limit - shown]:
                typer.echo(firing_line(firing))
            shown += len(answer.firings)
            request.page.page_token = answer.page.next_page_token
            if shown >= limit or not answer.page.next_page_token:
                break
    if answer.page.next_page_token:
        typer.echo(f"There are more; --limit shows more than {limit}.", err=True)


@app.command()
def watch(
    profile_id: Annotated[str, _PROFILE] = "",
    symbol: Annotated[str, _SYMBOL] = "",
    rule_id: Annotated[str, _RULE] = "",
    resume: Annotated[str, _RESUME] = "",
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """One line for whatever fires, until Ctrl-C; it says then how to go on."""
    request = wire.WatchAlertsRequest(
        profile_id=profile_id, symbol=symbol, rule_id=rule_id, resume_token=resume
    )
    begun = False
    try:
        while True:
            try:
                with calling(server, token) as client:
                    for message in client.alerts.WatchAlerts(request):
                        if not begun:
                            typer.echo("watching; Ctrl-C ends it", err=True)
                        request.resume_token, begun = message.resume_token, True
                        if message.HasField("firing"):
                            typer.echo(firing_line(message.firing))
            except CommandFailed as failure:
                cause = failure.__cause__
                if not begun or not isinstance(cause, LeoApiError) or cause.code not in _GOES_ON:
                    raise
            time.sleep(_PAUSE_SECONDS)
    except KeyboardInterrupt:
        typer.echo(f"go on with --resume {request.resume_token}", err=True)


@app.command()
def acknowledge(
    rule_id: Annotated[str, _RULE_ID],
    generation: Annotated[int, _GENERATION],
    note: Annotated[str, _NOTE] = "",
    silence_hours: Annotated[float | None, _SILENCE_HOURS] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Mark a firing as seen."""
    request = wire.AcknowledgeAlertRequest(
        rule_id=rule_id,
        generation=generation,
        note=note,
        silence_until=None if silence_hours is None else _ahead(silence_hours),
    )
    with calling(server, token) as client:
        answer = client.alerts.AcknowledgeAlert(request)
    typer.echo(firing_line(answer.firing))
    if answer.HasField("silence"):
        typer.echo(silence_line(answer.silence))


@app.command()
def silence(
    hours: Annotated[float, _HOURS],
    rule_id: Annotated[str, _RULE] = "",
    symbol: Annotated[str, _SYMBOL] = "",
    profile_id: Annotated[str, _PROFILE] = "",
    reason: Annotated[str, _REASON] = "",
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Let what fires make no message for a while: of one rule, one symbol or one profile."""
    named = {"rule_id": rule_id, "symbol": symbol, "profile_id": profile_id}
    targets = {field: value for field, value in named.items() if value}
    if len(targets) != 1:
        raise CommandFailed("name one of --rule, --symbol and --profile")
    request = wire.SilenceAlertsRequest(ends_at=_ahead(hours), reason=reason, **targets)
    with calling(server, token) as client:
        typer.echo(silence_line(client.alerts.SilenceAlerts(request).silence))


@app.command()
def silences(
    ended: Annotated[bool, _ENDED] = False, server: ServerOption = None, token: TokenOption = None
) -> None:
    """What is silenced, the latest first."""
    with calling(server, token) as client:
        answer = client.alerts.ListSilences(wire.ListSilencesRequest(include_ended=ended))
    for each in answer.silences:
        typer.echo(silence_line(each))
    if answer.page.next_page_token:
        typer.echo("There are more.", err=True)


@app.command()
def unsilence(
    silence_id: Annotated[str, _SILENCE_ID], server: ServerOption = None, token: TokenOption = None
) -> None:
    """End a silence before its time."""
    with calling(server, token) as client:
        answer = client.alerts.EndSilence(wire.EndSilenceRequest(silence_id=silence_id))
    typer.echo(silence_line(answer.silence))


def _ahead(hours: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(utc_now() + timedelta(hours=hours))
    return moment


def _status(word: str) -> wire.AlertFiringStatus.ValueType:
    if not word:
        return wire.ALERT_FIRING_STATUS_UNSPECIFIED
    if word not in _STATUSES:
        raise CommandFailed(f"{word} is no status; there are {', '.join(_STATUSES)}")
    return wire.AlertFiringStatus.Value(f"ALERT_FIRING_STATUS_{word.upper()}")
