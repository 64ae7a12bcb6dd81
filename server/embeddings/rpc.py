"""EmbeddingService on the wire: messages to models and back."""

from __future__ import annotations

from typing import Final, TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import embedding_service_pb2 as wire
from leo.activation.v1 import embedding_service_pb2_grpc

from server.embeddings.report import FailedJob, JobCount
from server.embeddings.service import EmbeddingService
from server.rpc.caller import current_caller
from server.wire import to_page_request, to_page_response, to_timestamp

Context: TypeAlias = ServicerContext[Message, Message]

_KINDS: Final = {"news": wire.EMBEDDING_KIND_NEWS, "profile": wire.EMBEDDING_KIND_PROFILE}
_KIND_NAMES: Final = {number: name for name, number in _KINDS.items()}
_STATUSES: Final = {
    "pending": wire.EMBEDDING_STATUS_PENDING,
    "completed": wire.EMBEDDING_STATUS_COMPLETED,
    "failed": wire.EMBEDDING_STATUS_FAILED,
    "cancelled": wire.EMBEDDING_STATUS_CANCELLED,
}


class EmbeddingServicer(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: EmbeddingService) -> None:
        self._service = service

    async def GetEmbeddingQueue(
        self, request: wire.GetEmbeddingQueueRequest, context: Context
    ) -> wire.GetEmbeddingQueueResponse:
        """How many jobs there are."""
        counts = await self._service.count_jobs(current_caller().tenant_id, model=request.model)
        return wire.GetEmbeddingQueueResponse(counts=map(_from_count, counts), model=self._service.model)

    async def ListFailedEmbeddings(
        self, request: wire.ListFailedEmbeddingsRequest, context: Context
    ) -> wire.ListFailedEmbeddingsResponse:
        """Dead jobs."""
        page = await self._service.list_failed(current_caller().tenant_id, to_page_request(request.page))
        return wire.ListFailedEmbeddingsResponse(
            jobs=map(_from_failed, page.items), page=to_page_response(page.next_token)
        )

    async def RequeueEmbeddings(
        self, request: wire.RequeueEmbeddingsRequest, context: Context
    ) -> wire.RequeueEmbeddingsResponse:
        """Make jobs wait again."""
        requeued = await self._service.requeue(
            current_caller().tenant_id,
            kind=_KIND_NAMES.get(request.kind),
            entity_ids=request.entity_ids,
            all_failed=request.all_failed,
            other_models=request.other_models,
        )
        return wire.RequeueEmbeddingsResponse(requeued=requeued)


def _from_count(count: JobCount) -> wire.EmbeddingJobCount:
    return wire.EmbeddingJobCount(
        kind=_KINDS.get(count.kind, wire.EMBEDDING_KIND_UNSPECIFIED),
        status=_STATUSES[count.status],
        model=count.model,
        jobs=count.jobs,
        oldest_due_at=to_timestamp(count.oldest_due_at),
    )


def _from_failed(job: FailedJob) -> wire.FailedEmbedding:
    return wire.FailedEmbedding(
        kind=_KINDS.get(job.kind, wire.EMBEDDING_KIND_UNSPECIFIED),
        entity_id=job.entity_id,
        attempts=job.attempts,
        reason=job.error,
        failed_at=to_timestamp(job.failed_at),
    )
