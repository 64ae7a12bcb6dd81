"""The asynchronous client."""

# ruff: noqa: ASYNC109 - `timeout` is what the stubs themselves call it

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from leo_client.calls import CallDefaults, channel_options, is_streaming
from leo_client.errors import decode_error
from leo_client.services import DESCRIPTORS, STUBS, wrapped
from leo_client.tokens import Token, token_source

if TYPE_CHECKING:
    from leo.activation.v1.alert_service_pb2_grpc import AlertServiceAsyncStub
    from leo.activation.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub
    from leo.activation.v1.decision_service_pb2_grpc import DecisionServiceAsyncStub
    from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceAsyncStub
    from leo.activation.v1.embedding_service_pb2_grpc import EmbeddingServiceAsyncStub
    from leo.activation.v1.news_service_pb2_grpc import NewsServiceAsyncStub
    from leo.activation.v1.profile_service_pb2_grpc import ProfileServiceAsyncStub
    from leo.activation.v1.report_service_pb2_grpc import ReportServiceAsyncStub
    from leo.activation.v1.snapshot_service_pb2_grpc import SnapshotServiceAsyncStub
    from leo.activation.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub
    from leo.activation.v1.trace_service_pb2_grpc import TraceServiceAsyncStub


class LeoClient:
    """One connection to LEO Activation, for one token. Make it inside the event loop that uses it.

    Methods are those of the stubs: `await client.catalog.PutCampaign(request)`; those that stream answers are
    iterated: `async for tick in client.decisions.DecideStream(requests)`. All take `timeout` (seconds) and
    `metadata`, and raise `LeoApiError`.

    Args:
        target: host:port, or any gRPC target; of several addresses all are used.
        token: a token, a quick function that returns one, or a source such as `ClientCredentials`.
        deadline_seconds: for calls with one answer that bring no `timeout`; None for none.
        wait_for_ready: whether calls wait, within their deadline, for a server that is not there yet.
        credentials: TLS; None for a plain connection.
    """

    alerts: AlertServiceAsyncStub
    catalog: CatalogServiceAsyncStub
    decisions: DecisionServiceAsyncStub
    dispatch: DispatchServiceAsyncStub
    embeddings: EmbeddingServiceAsyncStub
    news: NewsServiceAsyncStub
    profiles: ProfileServiceAsyncStub
    reports: ReportServiceAsyncStub
    snapshots: SnapshotServiceAsyncStub
    tenants: TenantServiceAsyncStub
    trace: TraceServiceAsyncStub

    def __init__(
        self,
        target: str,
        *,
        token: Token,
        deadline_seconds: float | None = 30.0,
        wait_for_ready: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._token = token_source(token)
        self._defaults = CallDefaults(deadline_seconds, wait_for_ready)
        options = channel_options(DESCRIPTORS)
        self.channel = (
            grpc.aio.insecure_channel(target, options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options)
        )
        for name, stub in STUBS.items():
            setattr(self, name, wrapped(stub(self.channel), self._wrap))

    async def __aenter__(self) -> LeoClient:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; calls that run are cancelled."""
        await self.channel.close()

    def _wrap(self, method: Any) -> Callable[..., Any]:
        async def one_answer(
            request: Any, *, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()
        ) -> Any:
            arguments = await self._arguments(False, timeout, metadata)
            try:
                return await method(request, **arguments)
            except grpc.aio.AioRpcError as error:
                raise _decoded(error) from error

        async def answers(
            request: Any, *, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()
        ) -> AsyncIterator[Any]:
            call = method(request, **await self._arguments(True, timeout, metadata))
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise _decoded(error) from error
            finally:
                # Whoever reads no further would else have the server send all the rest.
                call.cancel()

        return answers if is_streaming(method) else one_answer

    async def _arguments(
        self, streams: bool, timeout: float | None, metadata: Iterable[tuple[str, str]]
    ) -> dict[str, Any]:
        token = self._token.current()
        if token is None:
            token = await asyncio.to_thread(self._token.fetch)
        return self._defaults.arguments(token=token, streams=streams, timeout=timeout, metadata=metadata)


def _decoded(error: grpc.aio.AioRpcError) -> Exception:
    return decode_error(error.code(), error.details(), error.trailing_metadata())
