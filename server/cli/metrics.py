"""`leo metrics`: what was sent, in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Annotated, Final

import typer
from leo.activation.v1 import report_service_pb2 as wire
from leo.activation.v1 import types_pb2
from leo_client import LeoSyncClient

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

_COUNTS: Final = (
    "queued",
    "sent",
    "delivered",
    "read",
    "bounced",
    "failed",
    "suppressed",
    "expired",
    "unknown",
    "cancelled",
)
_DIMENSIONS: Final = ("day", "campaign", "marketing_event", "channel")
_FIELDS: Final = {"campaign": "campaign_id", "marketing_event": "marketing_event_id"}
_PAGE: Final = 1000

_SINCE = typer.Option(help="First day, in UTC: YYYY-MM-DD.")
_UNTIL = typer.Option(help="Last day, in UTC; today where it is left out.")
_BY = typer.Option(help=f"What to tell apart, with commas: {', '.join(_DIMENSIONS)}.")
_CAMPAIGN = typer.Option(help="Only this campaign.")
_EVENT = typer.Option(help="Only this marketing event.")
_CHANNEL = typer.Option(help="Only this channel.")


def metrics(
    since: Annotated[str, _SINCE],
    until: Annotated[str, _UNTIL] = "",
    by: Annotated[str, _BY] = "day,channel",
    campaign_id: Annotated[str, _CAMPAIGN] = "",
    marketing_event_id: Annotated[str, _EVENT] = "",
    channel: Annotated[str, _CHANNEL] = "",
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """How many deliveries came to which status, over days."""
    told = _told(by)
    request = wire.GetActivationMetricsRequest(
        since=since,
        until=until,
        group_by=[wire.MetricsDimension.Value(f"METRICS_DIMENSION_{name.upper()}") for name in told],
        campaign_id=campaign_id,
        marketing_event_id=marketing_event_id,
        channel=channel,
        page=types_pb2.PageRequest(page_size=_PAGE),
    )
    with calling(server, token) as client:
        rows, last = _all(client, request)
    for line in _lines(told, rows):
        typer.echo(line)
    source = wire.MetricsSource.Name(last.source).removeprefix("METRICS_SOURCE_").lower()
    typer.echo(f"From the {source}, as of {last.as_of.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}.")


def _told(by: str) -> list[str]:
    names = [name.strip() for name in by.split(",") if name.strip()]
    unknown = [name for name in names if name not in _DIMENSIONS]
    if unknown:
        raise CommandFailed(f"{unknown[0]} is nothing to tell apart; there are {', '.join(_DIMENSIONS)}")
    return sorted(set(names), key=_DIMENSIONS.index)


def _all(
    client: LeoSyncClient, request: wire.GetActivationMetricsRequest
) -> tuple[list[wire.ActivationMetrics], wire.GetActivationMetricsResponse]:
    """Every page, and the last answer."""
    rows: list[wire.ActivationMetrics] = []
    while True:
        answer = client.reports.GetActivationMetrics(request)
        rows += answer.metrics
        if not answer.page.next_page_token:
            return rows, answer
        request.page.page_token = answer.page.next_page_token


def _lines(told: Sequence[str], rows: Sequence[wire.ActivationMetrics]) -> Iterator[str]:
    """A heading and a line for each group: names to the left, counts to the right."""
    names = [[getattr(row, _FIELDS.get(name, name)) or "-" for name in told] for row in rows]
    counts = [[str(getattr(row, name)) for name in _COUNTS] for row in rows]
    heads = [*(name.replace("_", " ") for name in told), *_COUNTS]
    cells = [heads, *([*of, *numbers] for of, numbers in zip(names, counts, strict=True))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        left = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)][: len(told)]
        right = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)][len(told) :]
        yield "  ".join([*left, *right])
