"""`leo embeddings`: what is to be embedded, what could not be, and again, please."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Final

import typer
from leo.activation.v1 import embedding_service_pb2 as wire
from leo.activation.v1 import types_pb2

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

app = typer.Typer(help="Vectors of news and profiles: the queue, dead jobs.", invoke_without_command=True)

_KINDS: Final = {"news": wire.EMBEDDING_KIND_NEWS, "profile": wire.EMBEDDING_KIND_PROFILE}

_IDS = typer.Argument(help="Ids of dead jobs; none for all of them.")
_KIND = typer.Option(help="Only these: news or profile.")
_OTHER_MODELS = typer.Option(
    "--other-models", help="Instead, everything that another model embedded than the server's."
)
_LIMIT = typer.Option(min=1, max=1000, help="How many to show.")


@app.callback()
def embeddings(context: typer.Context, server: ServerOption = None, token: TokenOption = None) -> None:
    """How many jobs wait, are done, are dead; by model."""
    if context.invoked_subcommand is not None:
        return
    with calling(server, token) as client:
        answer = client.embeddings.GetEmbeddingQueue(wire.GetEmbeddingQueueRequest())
    for count in answer.counts:
        status = wire.EmbeddingStatus.Name(count.status).removeprefix("EMBEDDING_STATUS_").lower()
        typer.echo(f"{_kind_name(count.kind):8}  {status:10}  {count.jobs:10,}  {count.model}".rstrip())
    typer.echo(f"Searches compare vectors of {answer.model}.")


@app.command()
def failed(
    limit: Annotated[int, _LIMIT] = 100, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Dead jobs and their reasons."""
    request = wire.ListFailedEmbeddingsRequest(page=types_pb2.PageRequest(page_size=limit))
    with calling(server, token) as client:
        answer = client.embeddings.ListFailedEmbeddings(request)
    for job in answer.jobs:
        failed_at = job.failed_at.ToDatetime(UTC)
        typer.echo(
            f"{_kind_name(job.kind):8}  {job.entity_id}  {job.reason}"
            f"  after {job.attempts} attempts, {failed_at:%Y-%m-%d %H:%M:%SZ}"
        )
    if answer.page.next_page_token:
        typer.echo(f"There are more; --limit shows more than {limit}.", err=True)


@app.command()
def requeue(
    entity_ids: Annotated[list[str] | None, _IDS] = None,
    kind: Annotated[str, _KIND] = "",
    other_models: Annotated[bool, _OTHER_MODELS] = False,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Let jobs wait again: dead ones, or those of another model."""
    if kind and kind not in _KINDS:
        raise CommandFailed(f"there is no kind {kind}: {' or '.join(_KINDS)}")
    request = wire.RequeueEmbeddingsRequest(
        kind=_KINDS.get(kind, wire.EMBEDDING_KIND_UNSPECIFIED),
        entity_ids=entity_ids or [],
        all_failed=not entity_ids and not other_models,
        other_models=other_models,
    )
    with calling(server, token) as client:
        answer = client.embeddings.RequeueEmbeddings(request)
    typer.echo(f"{answer.requeued} jobs wait again")


def _kind_name(kind: wire.EmbeddingKind.ValueType) -> str:
    return wire.EmbeddingKind.Name(kind).removeprefix("EMBEDDING_KIND_").lower()
