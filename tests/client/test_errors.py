"""What a failed call is told as."""

from __future__ import annotations

import grpc
import pytest
from leo_client.errors import InternalFault, LeoApiError, Unavailable, decode_error


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("internal fault 17", InternalFault),
        ("Internal error from Core", Unavailable),
        (None, InternalFault),
    ],
)
def test_a_stream_whose_end_was_lost_in_grpc_may_be_called_again(
    message: str | None, expected: type[LeoApiError]
) -> None:
    error = decode_error(grpc.StatusCode.INTERNAL, message, ())
    assert type(error) is expected
    assert (error.code is grpc.StatusCode.UNAVAILABLE) == (expected is Unavailable)
