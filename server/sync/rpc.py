"""The part of CatalogService that is about sources of data: messages to models and back."""

from __future__ import annotations

from typing import TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import catalog_service_pb2 as wire
from leo.activation.v1 import catalog_service_pb2_grpc

from server.rpc.caller import current_caller
from server.sync import messages
from server.sync.service import DataSourceService
from server.wire import to_page_request, to_page_response

Context: TypeAlias = ServicerContext[Message, Message]


class DataSourceServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Converts and delegates; the rest of the service is another slice's."""

    def __init__(self, *, sources: DataSourceService) -> None:
        self._sources = sources

    async def PutDataSource(
        self, request: wire.PutDataSourceRequest, context: Context
    ) -> wire.PutDataSourceResponse:
        """Describe a source."""
        password = request.password if request.HasField("password") else None
        observation, changed = await self._sources.put(
            current_caller().tenant_id, messages.to_definition(request), password
        )
        return wire.PutDataSourceResponse(data_source=messages.from_observation(observation), changed=changed)

    async def GetDataSource(
        self, request: wire.GetDataSourceRequest, context: Context
    ) -> wire.GetDataSourceResponse:
        """One source."""
        observation = await self._sources.get(current_caller().tenant_id, request.source_id)
        return wire.GetDataSourceResponse(data_source=messages.from_observation(observation))

    async def ListDataSources(
        self, request: wire.ListDataSourcesRequest, context: Context
    ) -> wire.ListDataSourcesResponse:
        """Sources, page by page."""
        page = await self._sources.list(current_caller().tenant_id, to_page_request(request.page))
        return wire.ListDataSourcesResponse(
            data_sources=map(messages.from_observation, page.items), page=to_page_response(page.next_token)
        )

    async def SetDataSourcePaused(
        self, request: wire.SetDataSourcePausedRequest, context: Context
    ) -> wire.SetDataSourcePausedResponse:
        """Pause a source, or let it go on."""
        observation = await self._sources.set_paused(
            current_caller().tenant_id, request.source_id, paused=request.paused
        )
        return wire.SetDataSourcePausedResponse(data_source=messages.from_observation(observation))

    async def SyncNow(self, request: wire.SyncNowRequest, context: Context) -> wire.SyncNowResponse:
        """Have a source taken in."""
        observation = await self._sources.sync_now(current_caller().tenant_id, request.source_id)
        return wire.SyncNowResponse(data_source=messages.from_observation(observation))

    async def DeleteDataSource(
        self, request: wire.DeleteDataSourceRequest, context: Context
    ) -> wire.DeleteDataSourceResponse:
        """Remove a source."""
        deleted = await self._sources.delete(current_caller().tenant_id, request.source_id)
        return wire.DeleteDataSourceResponse(deleted=deleted)
