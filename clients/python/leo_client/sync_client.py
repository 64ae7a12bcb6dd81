"""The synchronous client. What it shares with the asynchronous one is in `calls`; here is the waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from leo_client.calls import CallDefaults, channel_options, is_streaming
from leo_client.errors import decode_error
from leo_client.services import DESCRIPTORS, STUBS, wrapped
from leo_client.tokens import Token, token_source

if TYPE_CHECKING:
    from leo.activation.v1.alert_service_pb2_grpc import AlertServiceStub
    from leo.activation.v1.catalog_service_pb2_grpc import CatalogServiceStub
    from leo.activation.v1.decision_service_pb2_grpc import DecisionServiceStub
    from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub
    from leo.activation.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
    from leo.activation.v1.news_service_pb2_grpc import NewsServiceStub
    from leo.activation.v1.profile_service_pb2_grpc import ProfileServiceStub
    from leo.activation.v1.report_service_pb2_grpc import ReportServiceStub
    from leo.activation.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
    from leo.activation.v1.tenant_service_pb2_grpc import TenantServiceStub
    from leo.activation.v1.trace_service_pb2_grpc import TraceServiceStub


class LeoSyncClient:
    """As `LeoClient`, for code without an event loop: `client.catalog.PutCampaign(request)`. Safe in threads.

    Args:
        target: host:port, or any gRPC target; of several addresses all are used.
        token: a token, a function that returns one, or a source such as `ClientCredentials`.
        deadline_seconds: for calls with one answer that bring no `timeout`; None for none.
        wait_for_ready: whether calls wait, within their deadline, for a server that is not there yet.
        credentials: TLS; None for a plain connection.
    """

    alerts: AlertServiceStub
    catalog: CatalogServiceStub
    decisions: DecisionServiceStub
    dispatch: DispatchServiceStub
    embeddings: EmbeddingServiceStub
    news: NewsServiceStub
    profiles: ProfileServiceStub
    reports: ReportServiceStub
    snapshots: SnapshotServiceStub
    tenants: TenantServiceStub
    trace: TraceServiceStub

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
            grpc.insecure_channel(target, options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options)
        )
        for name, stub in STUBS.items():
            setattr(self, name, wrapped(stub(self.channel), self._wrap))

    def __enter__(self) -> LeoSyncClient:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls that run are cancelled."""
        self.channel.close()

    def _wrap(self, method: Any) -> Callable[..., Any]:
        def one_answer(
            request: Any, *, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()
        ) -> Any:
            try:
                return method(request, **self._arguments(False, timeout, metadata))
            except grpc.RpcError as error:
                raise _decoded(error) from error

        def answers(
            request: Any, *, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()
        ) -> Iterator[Any]:
            call = method(request, **self._arguments(True, timeout, metadata))
            try:
                yield from call
            except grpc.RpcError as error:
                raise _decoded(error) from error
            finally:
                # Whoever reads no further would else have the server send all the rest.
                call.cancel()

        return answers if is_streaming(method) else one_answer

    def _arguments(
        self, streams: bool, timeout: float | None, metadata: Iterable[tuple[str, str]]
    ) -> dict[str, Any]:
        token = self._token.current() or self._token.fetch()
        return self._defaults.arguments(token=token, streams=streams, timeout=timeout, metadata=metadata)


def _decoded(error: Any) -> Exception:
    return decode_error(error.code(), error.details(), error.trailing_metadata())
