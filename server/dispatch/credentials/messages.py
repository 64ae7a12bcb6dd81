"""Credentials on the wire: messages to models and back. No value ever goes out."""

from __future__ import annotations

from leo.activation.v1 import dispatch_service_pb2 as pb

from server.dispatch.credentials.model import NewCredential, StoredCredential
from server.wire import to_timestamp


def to_new_credential(message: pb.PutChannelCredentialRequest) -> NewCredential:
    """What its owner gives."""
    own_limit = message.HasField("messages_per_second")
    return NewCredential(
        channel=message.channel,
        provider=message.provider,
        values=dict(message.values),
        messages_per_second=message.messages_per_second if own_limit else None,
    )


def from_stored(stored: StoredCredential) -> pb.ChannelCredential:
    """What may be shown."""
    error = stored.last_error
    return pb.ChannelCredential(
        channel=stored.channel,
        provider=stored.provider,
        version=stored.version,
        key_id=stored.sealed.key_id,
        messages_per_second=stored.messages_per_second,
        put_at=to_timestamp(stored.put_at),
        expires_at=to_timestamp(stored.expires_at),
        refreshed_at=to_timestamp(stored.refreshed_at),
        refresh_error=error.reason if error else "",
        refresh_failed_at=to_timestamp(error.at if error else None),
        authorisation_lost=error is not None and error.lost,
    )
