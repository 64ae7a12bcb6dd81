"""The command `leo import`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from leo.activation.v1 import profile_service_pb2 as wire
from leo_client import LeoApiError, LeoClient
from rich import progress as bars
from rich.console import Console

from server.cli.calling import ServerOption, TokenOption, own_token, reached_at
from server.cli.failure import CommandFailed
from server.cli.importing.dry_run import Judge
from server.cli.importing.patches import Part, parts_of
from server.cli.importing.progress import Progress, identity_of
from server.cli.importing.sending import Sender, rejects_of
from server.config import Settings, load_settings
from server.mapping.files import MappingNotValid, read_mapping
from server.mapping.mapping import ProfileMapping
from server.mapping.rows import RowFile

_OUTCOMES = ("created", "updated", "unchanged", "stale")

_FILE = typer.Argument(
    help="A .csv, .ndjson, .jsonl or .parquet file; the first line of CSV names the columns."
)
_MAPPING = typer.Option(help="The mapping: a .toml or .json file (docs/profiles.md).")
_DRY_RUN = typer.Option("--dry-run", help="Check every row and write the rejects; send nothing.")
_REJECTS = typer.Option(
    help="Where refused rows go, with their reasons; beside the file where it is left out."
)
_RESTART = typer.Option(
    "--restart", help="Begin anew, also where an earlier import of the file stopped half-way."
)
_DELIMITER = typer.Option(help="What separates the columns of CSV.")
_PART = typer.Option(min=1, max=2000, help="Rows in one commit.")
_PATIENCE = typer.Option(min=0, help="Seconds to wait for a server that is away.")


@dataclass(frozen=True, slots=True)
class _Import:
    path: Path
    rows: RowFile
    mapping: ProfileMapping
    progress: Progress
    part_rows: int

    def parts(self) -> Iterator[Part]:
        """What is left to do."""
        position = self.progress.position
        left = (row for row in self.rows.rows() if row.number > position.last_row)
        return parts_of(left, self.mapping, first=position.sequence + 1, size=self.part_rows)


def import_profiles(
    file: Annotated[Path, _FILE],
    mapping: Annotated[Path, _MAPPING],
    dry_run: Annotated[bool, _DRY_RUN] = False,
    rejects: Annotated[Path | None, _REJECTS] = None,
    restart: Annotated[bool, _RESTART] = False,
    delimiter: Annotated[str, _DELIMITER] = ",",
    part_rows: Annotated[int, _PART] = 1_000,
    patience: Annotated[float, _PATIENCE] = 60.0,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Import profiles from a file. Stopped half-way, the same command goes on where the last commit was."""
    rows = RowFile(file, delimiter=delimiter)
    read = _mapping(mapping, rows)
    kept = Progress(
        file.with_name(file.name + (".dry-run" if dry_run else ".position")),
        rejects or file.with_name(file.name + ".rejects.ndjson"),
        of=identity_of(file, mapping.read_bytes()),
        restart=restart or dry_run,
    )
    job = _Import(file, rows, read, kept, part_rows)
    finished = False
    try:
        if dry_run:
            _check(job)
        else:
            asyncio.run(_send(job, server, token, patience))
        finished = True
    except LeoApiError as error:
        raise CommandFailed(
            f"{error}\nThe same command goes on after row {kept.position.last_row}."
        ) from error
    finally:
        kept.close(finished=finished)
    _tell(kept, dry_run=dry_run)


async def _send(job: _Import, server: str | None, token: str | None, patience: float) -> None:
    target = server or reached_at(load_settings(Settings).listen)
    with _bar(job) as advance:

        def committed(part: Part, answer: wire.ImportProfilesResponse) -> None:
            rejects = rejects_of(part, answer)
            counts = {name: getattr(answer, name) for name in _OUTCOMES} | {"refused": len(rejects)}
            job.progress.note(last_row=part.last, sequence=part.sequence, rejects=rejects, counts=counts)
            advance(part.done)

        async with LeoClient(target, token=token or own_token) as client:
            sender = Sender(
                client,
                job.parts(),
                region=job.mapping.default_region,
                on_committed=committed,
                patience_seconds=patience,
            )
            await sender.run()


def _check(job: _Import) -> None:
    judge = Judge(job.mapping.default_region)
    with _bar(job) as advance:
        for part in job.parts():
            rejects = judge.rejects(part)
            counts = Counter(refused=len(rejects), good=len(part.rows) + len(part.rejects) - len(rejects))
            job.progress.note(last_row=part.last, sequence=part.sequence, rejects=rejects, counts=counts)
            advance(part.done)


def _mapping(path: Path, rows: RowFile) -> ProfileMapping:
    try:
        mapping = ProfileMapping(read_mapping(path))
    except MappingNotValid as error:
        raise CommandFailed(f"{path}: {error}") from error
    missing = sorted(mapping.columns - rows.columns) if rows.columns is not None else []
    if missing:
        raise CommandFailed(f"{path}: the file has no columns {', '.join(missing)}")
    return mapping


@contextmanager
def _bar(job: _Import) -> Iterator[Callable[[int], None]]:
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[rows]:,} rows, {task.fields[refused]:,} refused"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(job.path.name, total=job.rows.size, rows=0, refused=0)

        def advance(done: int) -> None:
            counts = job.progress.position.counts
            bar.update(task, completed=done, rows=sum(counts.values()), refused=counts.get("refused", 0))

        yield advance
        bar.update(task, completed=job.rows.size)


def _tell(kept: Progress, *, dry_run: bool) -> None:
    counts = kept.position.counts
    names = ("good",) if dry_run else _OUTCOMES
    typer.echo(", ".join(f"{counts.get(name, 0):,} {name}" for name in (*names, "refused")))
    if counts.get("refused"):
        typer.echo(f"refused rows, with their reasons: {kept.rejects_path}", err=True)
    if dry_run:
        typer.echo("nothing was sent", err=True)
