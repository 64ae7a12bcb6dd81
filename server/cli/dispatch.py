"""`leo dispatch`: watch a dispatch, hold it back, let it go on, call it off."""

from __future__ import annotations

import time
from typing import Annotated

import grpc
import typer
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo_client import LeoApiError

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

app = typer.Typer(help="Dispatches: watch, pause, resume and cancel.", no_args_is_help=True)

_PLAN = typer.Argument(help="Id of the plan.")
# A stream ends at its longest time, and when its server does; the next one begins with the state as it is then.
_GOES_ON = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
_PAUSE_SECONDS = 1.0


@app.command()
def watch(
    plan_task_id: Annotated[str, _PLAN], server: ServerOption = None, token: TokenOption = None
) -> None:
    """One line whenever the dispatch has come further, until nothing of it is left to do."""
    told = ""
    while True:
        try:
            with calling(server, token) as client:
                request = wire.WatchDispatchRequest(plan_task_id=plan_task_id)
                for progress in client.dispatch.WatchDispatch(request):
                    line = progress_line(progress)
                    if line != told:
                        typer.echo(line)
                    told = line
                return
        except CommandFailed as failure:
            cause = failure.__cause__
            if not told or not isinstance(cause, LeoApiError) or cause.code not in _GOES_ON:
                raise
        time.sleep(_PAUSE_SECONDS)


@app.command()
def pause(
    plan_task_id: Annotated[str, _PLAN], server: ServerOption = None, token: TokenOption = None
) -> None:
    """Hold the dispatch back."""
    with calling(server, token) as client:
        _tell(client.dispatch.PauseDispatch(wire.PauseDispatchRequest(plan_task_id=plan_task_id)).plan)


@app.command()
def resume(
    plan_task_id: Annotated[str, _PLAN], server: ServerOption = None, token: TokenOption = None
) -> None:
    """Let the dispatch go on."""
    with calling(server, token) as client:
        _tell(client.dispatch.ResumeDispatch(wire.ResumeDispatchRequest(plan_task_id=plan_task_id)).plan)


@app.command()
def cancel(
    plan_task_id: Annotated[str, _PLAN], server: ServerOption = None, token: TokenOption = None
) -> None:
    """Call the dispatch off for good."""
    with calling(server, token) as client:
        _tell(client.dispatch.CancelDispatch(wire.CancelDispatchRequest(plan_task_id=plan_task_id)).plan)


def progress_line(progress: wire.WatchDispatchResponse) -> str:
    """The state of a dispatch in one line."""
    counts = [
        f"{each.count:,} {wire.DeliveryStatus.Name(each.status).removeprefix('DELIVERY_STATUS_').lower()}"
        for each in progress.deliveries
    ]
    plan = progress.plan
    return ", ".join([f"{_status(plan)}: {plan.decided_count:,} of {plan.member_count:,} decided", *counts])


def _tell(plan: wire.DispatchPlan) -> None:
    typer.echo(f"{plan.plan_task_id} {_status(plan)}")


def _status(plan: wire.DispatchPlan) -> str:
    return wire.DispatchStatus.Name(plan.status).removeprefix("DISPATCH_STATUS_").lower()
