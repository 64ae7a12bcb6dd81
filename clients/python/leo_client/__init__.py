"""Client of LEO Activation: typed calls, tokens, deadlines, and retries of what is safe to retry.

    async with LeoClient("localhost:50051", token=token) as leo:
        await leo.catalog.PutCampaign(request)

`LeoSyncClient` is the same without `async`. Failures are raised as `LeoApiError` and its subclasses.
"""

from leo_client.client import LeoClient
from leo_client.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InternalFault,
    InvalidArgument,
    LeoApiError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Violation,
)
from leo_client.exports import ExportIncomplete, ExportSummary, write_export
from leo_client.json_fields import from_json, to_json
from leo_client.prices import from_price_nanos, to_price_nanos
from leo_client.sync_client import LeoSyncClient
from leo_client.tokens import ClientCredentials, TokenUnavailable

__all__ = [
    "AlreadyExists",
    "ClientCredentials",
    "DeadlineExceeded",
    "ExportIncomplete",
    "ExportSummary",
    "FailedPrecondition",
    "InternalFault",
    "InvalidArgument",
    "LeoApiError",
    "LeoClient",
    "LeoSyncClient",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "TokenUnavailable",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "from_json",
    "from_price_nanos",
    "to_json",
    "to_price_nanos",
    "write_export",
]
