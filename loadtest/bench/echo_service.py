"""An echo with the messages of Decide: what a call costs before anything is decided."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import options_pb2

SERVICE = "leo.bench.v1.EchoService"
ECHO = f"/{SERVICE}/Echo"
_SCOPE = "decisions.write"


def describe() -> None:
    """Make the service known to protobuf, with a scope as every method of the product has one."""
    file = descriptor_pb2.FileDescriptorProto(
        name="leo/bench/v1/echo_service.proto",
        package="leo.bench.v1",
        syntax="proto3",
        dependency=[wire.DESCRIPTOR.name, options_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name="EchoService").method.add(
        name="Echo",
        input_type=".leo.activation.v1.DecideRequest",
        output_type=".leo.activation.v1.DecideResponse",
    )
    method.options.Extensions[options_pb2.required_scope] = _SCOPE
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


async def echo(request: wire.DecideRequest, context: Any) -> wire.DecideResponse:
    """An answer as long as one of Decide, that nothing was done for."""
    response = wire.DecideResponse()
    decision = response.decision
    decision.task_id = "0" * 64
    decision.source_event_id = request.event.source_event_id
    decision.outcome = wire.DECISION_OUTCOME_SUPPRESSED
    decision.reason = wire.DECISION_REASON_CONDITION_MISS
    decision.reason_summary = "loyalty_reward lost: amount 40 is not at least 100"
    decision.decided_at.CopyFrom(request.event.occurred_at)
    return response


def handlers() -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The service's methods, as generated code would register them."""
    return {
        "Echo": grpc.unary_unary_rpc_method_handler(
            echo,
            request_deserializer=wire.DecideRequest.FromString,
            response_serializer=wire.DecideResponse.SerializeToString,
        )
    }
