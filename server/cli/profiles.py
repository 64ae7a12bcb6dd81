"""`leo profiles`: everything that is stored about one person, its removal, and who resembles whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from leo.activation.v1 import profile_service_pb2 as wire
from leo_client import ExportIncomplete, ExportSummary, write_export

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

app = typer.Typer(help="Customers: export, erase, readmit, similar.", no_args_is_help=True)

_ID = typer.Argument(help="Id of the profile.")
_OUTPUT = typer.Option(help="The file to write; it must not be there yet.", dir_okay=False)
_REASON = typer.Option(help="Why it is exported; it is recorded, and part of the export.")
_ERASED = typer.Argument(help="Id of the profile, unless another option names the person.")
_EXT_ID = typer.Option(help="The person's id in the CRM or ERP.")
_IDENTITY = typer.Option(help="An identity that one profile has.")
_WHY = typer.Option("--reason", help="Why, e.g. a ticket's number. It is kept, and must not name the person.")
_YES = typer.Option("--yes", help="Do not ask.")
_STUB = typer.Argument(help="Id of the erased profile.")
_ORIGIN = typer.Argument(help="Id of a profile.")
_SEGMENT = typer.Option(help="Instead of a profile, a segment: the mean of its members.")
_MEMBERS = typer.Option("--members", help="Show members of the segment as well.")
_LIMIT = typer.Option(min=1, max=1000, help="How many to show.")


@app.command()
def export(
    profile_id: Annotated[str, _ID],
    output: Annotated[Path, _OUTPUT],
    reason: Annotated[str, _REASON],
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Write everything that is stored about one person to a JSON file. The file is there once it is whole."""
    if output.exists():
        raise CommandFailed(f"{output} is there already")
    unfinished = output.with_name(f"{output.name}.part")
    request = wire.ExportProfileRequest(profile_id=profile_id, reason=reason)
    try:
        with calling(server, token) as client, _private(unfinished) as file:
            summary = write_export(client.profiles.ExportProfile(request), file)
        unfinished.rename(output)
    except ExportIncomplete as error:
        raise CommandFailed(str(error)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    _tell(summary, output)


@app.command()
def erase(
    reason: Annotated[str, _WHY],
    profile_id: Annotated[str, _ERASED] = "",
    ext_id: Annotated[str, _EXT_ID] = "",
    identity: Annotated[str, _IDENTITY] = "",
    yes: Annotated[bool, _YES] = False,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Remove a person for good: a stub stays, and of what was recorded ids, codes, counts and times."""
    named = {"profile_id": profile_id, "ext_id": ext_id, "identity": identity}
    person = {kind: value for kind, value in named.items() if value}
    if len(person) != 1:
        raise CommandFailed("name the person once: the id of a profile, --ext-id or --identity")
    if not yes:
        (name,) = person.values()
        typer.confirm(f"Erase {name} for good? It can not be undone.", abort=True, err=True)
    with calling(server, token) as client:
        answer = client.profiles.EraseProfile(wire.EraseProfileRequest(reason=reason, **person))
    rows = ", ".join(f"{count:,} {table}" for table, count in sorted(answer.rows.items()) if count)
    erased_at = answer.erased_at.ToDatetime()
    typer.echo(
        f"{answer.profile_id}: erased at {erased_at:%Y-%m-%d %H:%M:%SZ}; {rows}; task {answer.task_id}"
    )


@app.command()
def readmit(
    profile_id: Annotated[str, _STUB],
    reason: Annotated[str, _WHY],
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Let an erased person come back who wants to, as a new profile; the stub stays erased."""
    with calling(server, token) as client:
        client.profiles.ReadmitProfile(wire.ReadmitProfileRequest(profile_id=profile_id, reason=reason))
    typer.echo(f"{profile_id}: sources may create a new profile for this person.")


@app.command()
def similar(
    profile_id: Annotated[str, _ORIGIN] = "",
    segment: Annotated[str, _SEGMENT] = "",
    members: Annotated[bool, _MEMBERS] = False,
    limit: Annotated[int, _LIMIT] = 10,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Who resembles a customer, or the members of a segment, the most similar first."""
    if bool(profile_id) == bool(segment):
        raise CommandFailed("give the id of a profile, or --segment")
    request = wire.SimilarProfilesRequest(limit=limit, include_members=members)
    if profile_id:
        request.profile_id = profile_id
    else:
        request.segment = segment
    with calling(server, token) as client:
        answer = client.profiles.SimilarProfiles(request)
    for each in answer.profiles:
        typer.echo(f"{each.similarity:7.4f}  {each.profile_id}")
    compared = f"the mean of {answer.members:,} members" if segment else "one profile"
    typer.echo(
        f"Compared with {compared}, {'exactly' if answer.exact else 'by an index'}, by {answer.model}.",
        err=True,
    )


def _private(path: Path) -> BinaryIO:
    """A new file that only this user may read: it will hold what is known of a person."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise CommandFailed(f"{path} can not be written: {error.strerror}") from error


def _tell(summary: ExportSummary, output: Path) -> None:
    rows = ", ".join(f"{count:,} {name}" for name, count in summary.counts.items() if count)
    typer.echo(f"{output}: {rows}; recorded as task {summary.task_id}")
    if summary.erased_at is not None:
        typer.echo(
            f"The profile was erased at {summary.erased_at:%Y-%m-%d %H:%M:%SZ}: what is left was exported.",
            err=True,
        )
