"""`leo snapshots`: freeze an audience, and look at what was frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Annotated, Final

import grpc
import typer
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1 import types_pb2
from leo_client import LeoApiError

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

app = typer.Typer(
    help="Snapshots: estimate, create, list, show, members, diff and verify.", no_args_is_help=True
)

_DEADLINE_SECONDS: Final = 300.0
_OPERATIONS: Final = {
    "minus": wire.SNAPSHOT_OPERATION_MINUS,
    "intersect": wire.SNAPSHOT_OPERATION_INTERSECT,
    "unite": wire.SNAPSHOT_OPERATION_UNITE,
}
# A stream ends at its longest time, and when its server does; what it has told so far need not come again.
_GOES_ON: Final = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)

_ID = typer.Argument(help="Id of the snapshot.")
_REASON = typer.Option(help="Why it is frozen; without personal data.")
_NAME = typer.Option(help="What to call an audience that has no definition of its own.")
_SEGMENT = typer.Option(help="The audience that campaigns define under this name.")
_LABEL = typer.Option(help="Everybody whose segments hold this text.")
_CONDITION = typer.Option(help="File with a condition as JSON.", exists=True, dir_okay=False)
_LIST = typer.Option("--list", help="File with ids of profiles, one a line.", exists=True, dir_okay=False)
_COMBINE = typer.Option(
    help="Two snapshots and what to make of them: ONE minus|intersect|unite OTHER.",
    metavar="ONE OPERATION OTHER",
)
_SEGMENT_NAME = typer.Argument(help="Name of the segment, or the label.")
_LIMIT = typer.Option(min=1, max=1000, help="How many to show, the newest first.")
_EARLIER = typer.Argument(help="Id of the earlier snapshot.")
_LATER = typer.Argument(help="Id of the later snapshot.")
_KEPT = typer.Option("--kept", help="List those who stayed as well.")
_COUNTS = typer.Option("--counts", help="Only tell how many.")


@app.command()
def create(
    reason: Annotated[str, _REASON],
    name: Annotated[str, _NAME] = "",
    segment: Annotated[str, _SEGMENT] = "",
    label: Annotated[str, _LABEL] = "",
    condition: Annotated[Path | None, _CONDITION] = None,
    profiles: Annotated[Path | None, _LIST] = None,
    combine: Annotated[tuple[str, str, str] | None, _COMBINE] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Freeze who is in an audience now."""
    wanted: list[Callable[[], wire.SnapshotRequest]] = []
    if segment:
        wanted.append(lambda: wire.SnapshotRequest(segment=segment))
    if label:
        wanted.append(lambda: wire.SnapshotRequest(label=label))
    if condition:
        wanted.append(lambda: _of_condition(name, condition))
    if profiles:
        wanted.append(lambda: _of_list(name, profiles))
    if combine:
        wanted.append(lambda: _of_combination(name, *combine))
    if len(wanted) != 1:
        raise CommandFailed("give one of --segment, --label, --condition, --list and --combine")
    request = wanted[0]()
    request.reason = reason
    with calling(server, token) as client:
        answer = client.snapshots.Snapshot(request, timeout=_DEADLINE_SECONDS)
    typer.echo(f"{snapshot_line(answer.snapshot)}  {'new' if answer.created else 'as before'}")
    if answer.unknown_count:
        named = ", ".join(answer.unknown_profile_ids)
        typer.echo(f"{answer.unknown_count:,} listed profiles are unknown: {named}", err=True)


@app.command()
def estimate(
    segment: Annotated[str, _SEGMENT] = "",
    label: Annotated[str, _LABEL] = "",
    condition: Annotated[Path | None, _CONDITION] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """How many are in an audience now, and some of them, without freezing it."""
    if sum(map(bool, (segment, label, condition))) != 1:
        raise CommandFailed("give one of --segment, --label and --condition")
    request = wire.EstimateSegmentRequest()
    if segment:
        request.segment = segment
    elif label:
        request.label = label
    elif condition:
        request.condition.name, request.condition.condition = condition.stem, condition.read_bytes()
    with calling(server, token) as client:
        answer = client.snapshots.EstimateSegment(request)
    typer.echo(estimate_line(answer))


@app.command("list")
def list_(
    segment_name: Annotated[str, _SEGMENT_NAME],
    limit: Annotated[int, _LIMIT] = 100,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """The snapshots of a segment, the newest first."""
    request = wire.ListSnapshotsRequest(
        segment_name=segment_name, page=types_pb2.PageRequest(page_size=limit)
    )
    with calling(server, token) as client:
        answer = client.snapshots.ListSnapshots(request)
    for snapshot in answer.snapshots:
        typer.echo(snapshot_line(snapshot))
    if answer.page.next_page_token:
        typer.echo(f"There are more; --limit shows more than {limit}.", err=True)


@app.command()
def show(snapshot_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """One snapshot."""
    with calling(server, token) as client:
        request = wire.GetSnapshotRequest(snapshot_id=snapshot_id)
        snapshot = client.snapshots.GetSnapshot(request).snapshot
    typer.echo(snapshot_line(snapshot))
    typer.echo(f"version   {snapshot.segment_version}")
    typer.echo(f"audience  {snapshot.audience_sha256}")
    typer.echo(f"reason    {snapshot.reason}")


@app.command()
def members(snapshot_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """The ids of all members, one a line, in the order of their code points."""
    told = ""
    while True:
        page = types_pb2.PageRequest(page_token=told)
        request = wire.ListSnapshotMembersRequest(snapshot_id=snapshot_id, page=page)
        try:
            with calling(server, token) as client:
                for part in client.snapshots.ListSnapshotMembers(request):
                    for profile_id in part.profile_ids:
                        typer.echo(profile_id)
                    told = part.page.next_page_token
            return
        except CommandFailed as failure:
            if not told or told == page.page_token or not _interrupted(failure):
                raise


@app.command()
def diff(
    earlier: Annotated[str, _EARLIER],
    later: Annotated[str, _LATER],
    kept: Annotated[bool, _KEPT] = False,
    counts: Annotated[bool, _COUNTS] = False,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """What changed from one snapshot to another: how many, then who, with + for entered and - for left."""
    changes = [wire.SNAPSHOT_CHANGE_ENTERED, wire.SNAPSHOT_CHANGE_LEFT]
    request = wire.DiffSnapshotsRequest(
        from_snapshot_id=earlier,
        to_snapshot_id=later,
        changes=[*changes, wire.SNAPSHOT_CHANGE_KEPT] if kept else changes,
    )
    with calling(server, token) as client:
        for page in client.snapshots.DiffSnapshots(request):
            if page.HasField("difference"):
                typer.echo(difference_line(page.difference))
            if counts:
                return
            for line in change_lines(page):
                typer.echo(line)


@app.command()
def verify(snapshot_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """Hash the members again; exit status 1 where they are not those that were frozen."""
    with calling(server, token) as client:
        request = wire.VerifySnapshotRequest(snapshot_id=snapshot_id)
        verified = client.snapshots.VerifySnapshot(request, timeout=_DEADLINE_SECONDS)
    if verified.intact:
        typer.echo(f"{snapshot_id} is intact: {verified.found_member_count:,} members")
        return
    recorded = verified.snapshot
    raise CommandFailed(
        f"{snapshot_id} was changed: {recorded.member_count:,} members with hash"
        f" {recorded.audience_sha256} were frozen, there are {verified.found_member_count:,} with hash"
        f" {verified.found_audience_sha256}"
    )


def snapshot_line(snapshot: wire.Snapshot) -> str:
    """One snapshot: id, segment, members, when."""
    since = f"{snapshot.created_at.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}"
    return f"{snapshot.snapshot_id}  {snapshot.segment_name}  {snapshot.member_count:,} members  {since}"


def estimate_line(answer: wire.EstimateSegmentResponse) -> str:
    """How many, how sure that is, and who some of them are."""
    number = f"{answer.member_count:,} members"
    if not answer.exact:
        number = f"about {number}, give or take {answer.margin:,}"
    return ": ".join(filter(None, (number, ", ".join(answer.sample_profile_ids))))


def difference_line(difference: wire.SnapshotDifference) -> str:
    """How many changed."""
    return (
        f"{difference.entered_count:,} entered, {difference.left_count:,} left,"
        f" {difference.kept_count:,} kept"
    )


def change_lines(page: wire.DiffSnapshotsResponse) -> Iterator[str]:
    """Who changed on this page, in the order of ids."""
    marked = [
        *(("+", profile_id) for profile_id in page.entered),
        *(("-", profile_id) for profile_id in page.left),
        *(("=", profile_id) for profile_id in page.kept),
    ]
    for mark, profile_id in sorted(marked, key=lambda each: each[1]):
        yield f"{mark} {profile_id}"


def _of_condition(name: str, path: Path) -> wire.SnapshotRequest:
    return wire.SnapshotRequest(
        condition=wire.ConditionAudience(name=name or path.stem, condition=path.read_bytes())
    )


def _of_list(name: str, path: Path) -> wire.SnapshotRequest:
    profile_ids = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    return wire.SnapshotRequest(list=wire.ListAudience(name=name or path.stem, profile_ids=profile_ids))


def _of_combination(name: str, one: str, operation: str, other: str) -> wire.SnapshotRequest:
    if operation not in _OPERATIONS:
        raise CommandFailed(f"{operation} is none of {', '.join(_OPERATIONS)}")
    return wire.SnapshotRequest(
        combination=wire.CombinedAudience(
            name=name, snapshot_id=one, operation=_OPERATIONS[operation], other_snapshot_id=other
        )
    )


def _interrupted(failure: CommandFailed) -> bool:
    cause = failure.__cause__
    return isinstance(cause, LeoApiError) and cause.code in _GOES_ON
