"""`leo deliveries`: where messages are, and those that failed, which may be queued again."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1 import trace_service_pb2 as trace
from leo.activation.v1 import types_pb2

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

app = typer.Typer(help="Deliveries: list, explain, queue again.", invoke_without_command=True)

_STATUSES = [name.removeprefix("DELIVERY_STATUS_").lower() for name in wire.DeliveryStatus.keys()[1:]]
_FAILED = typer.Option("--failed", help="Those that failed for good; short for --status failed.")
_STATUS = typer.Option(help=f"Those that stand here: {', '.join(_STATUSES)}.")
_CAMPAIGN = typer.Option(help="Those of this campaign.")
_LIMIT = typer.Option(min=1, max=1000, help="How many to show.")
_KEY = typer.Argument(help="Id of the delivery.")
_UNKNOWN = typer.Option(
    "--resend-unknown", help="Also where nobody knows whether it was sent; only over push and web_push."
)


@app.callback()
def deliveries(
    context: typer.Context,
    failed: Annotated[bool, _FAILED] = False,
    status: Annotated[str, _STATUS] = "",
    campaign_id: Annotated[str, _CAMPAIGN] = "",
    limit: Annotated[int, _LIMIT] = 100,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Deliveries as they stand now."""
    if context.invoked_subcommand is not None:
        return
    request = wire.ListDeliveriesRequest(
        status=_status("failed" if failed else status),
        campaign_id=campaign_id,
        page=types_pb2.PageRequest(page_size=limit),
    )
    with calling(server, token) as client:
        answer = client.dispatch.ListDeliveries(request)
    for each in answer.deliveries:
        typer.echo(delivery_line(each))
    if answer.page.next_page_token:
        typer.echo(f"There are more; --limit shows more than {limit}.", err=True)


@app.command()
def requeue(
    delivery_key: Annotated[str, _KEY],
    resend_unknown: Annotated[bool, _UNKNOWN] = False,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Queue a delivery again that failed: a new series of attempts."""
    with calling(server, token) as client:
        found = client.dispatch.GetDelivery(wire.GetDeliveryRequest(delivery_key=delivery_key)).delivery
        request = wire.RequeueDeliveryRequest(
            delivery_key=delivery_key, series=found.series, resend_unknown=resend_unknown
        )
        delivery = client.dispatch.RequeueDelivery(request).delivery
    typer.echo(f"{delivery.delivery_key} {_word(delivery.status)}: series {delivery.series}")


@app.command()
def explain(
    delivery_key: Annotated[str, _KEY], server: ServerOption = None, token: TokenOption = None
) -> None:
    """Why a delivery was sent, or what it waits for, in one sentence."""
    with calling(server, token) as client:
        request = trace.ExplainDeliveryRequest(delivery_key=delivery_key)
        typer.echo(client.trace.ExplainDelivery(request).explanation)


def delivery_line(each: wire.Delivery) -> str:
    """One delivery: id, status with its reason, channel, attempts, profile, and since when."""
    status = " ".join(filter(None, (_word(each.status), each.reason)))
    since = f"{each.changed_at.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}"
    return (
        f"{each.delivery_key}  {status}  {each.channel}  attempt {each.attempt}  {each.profile_id}  {since}"
    )


def _word(status: wire.DeliveryStatus.ValueType) -> str:
    return wire.DeliveryStatus.Name(status).removeprefix("DELIVERY_STATUS_").lower()


def _status(word: str) -> wire.DeliveryStatus.ValueType:
    if not word:
        return wire.DELIVERY_STATUS_UNSPECIFIED
    if word not in _STATUSES:
        raise CommandFailed(f"{word} is no status; there are {', '.join(_STATUSES)}")
    return wire.DeliveryStatus.Value(f"DELIVERY_STATUS_{word.upper()}")
