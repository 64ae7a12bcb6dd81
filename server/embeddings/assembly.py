"""Builds the embedder that the configuration names, and what uses it."""

from __future__ import annotations

from datetime import timedelta

from server.config import Settings
from server.embeddings.embedder import Embedder
from server.embeddings.endpoint import EndpointEmbedder
from server.embeddings.hashing import HashingEmbedder
from server.embeddings.jobs import EmbeddingJobs
from server.embeddings.model import Patience
from server.embeddings.query_vectors import QueryVectors
from server.embeddings.store import EmbeddingStore
from server.platform.clock import utc_now
from server.platform.postgres import Database


def embedder_of(settings: Settings, *, timeout_seconds: float) -> Embedder:
    """The endpoint where one is configured, else the built-in embedder.

    Args:
        timeout_seconds: for one request to the endpoint.
    """
    if settings.embeddings_url is None:
        return HashingEmbedder()
    key = settings.embeddings_key
    return EndpointEmbedder(
        url=settings.embeddings_url,
        key=None if key is None else key.get_secret_value(),
        model=settings.embeddings_model,
        shorten=settings.embeddings_shorten,
        batch_size=settings.embeddings_batch,
        timeout_seconds=timeout_seconds,
    )


def query_vectors(embedder: Embedder) -> QueryVectors:
    """For searches."""
    return QueryVectors(embedder=embedder, clock=utc_now)


def embedding_jobs(
    settings: Settings, *, database: Database, embedder: Embedder, worker: str
) -> EmbeddingJobs:
    """For workers."""
    return EmbeddingJobs(
        database=database,
        store=EmbeddingStore(),
        embedder=embedder,
        patience=Patience(settings.embeddings_attempts, first_seconds=settings.retry_seconds),
        lease=timedelta(seconds=settings.lease_seconds),
        clock=utc_now,
        worker=worker,
    )
