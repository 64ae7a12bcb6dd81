"""What providers answer over HTTP: read, classified where only the status says something, and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from server.dispatch.channels.channel import Credential, ErrorClass, Refused
from server.dispatch.channels.waiting import retry_after

_LARGEST_RECORD: Final = 2_000
_SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        headers: by name in lower case.
        document: the body, parsed; None where it is no JSON, too large, or broke off.
    """

    status: int
    headers: Mapping[str, str]
    document: Any

    def find(self, *path: str | int) -> Any:
        """A value in the document; None where there is none."""
        found = self.document
        for step in path:
            if isinstance(step, int):
                found = found[step] if isinstance(found, list) and len(found) > step else None
            else:
                found = found.get(step) if isinstance(found, dict) else None
        return found

    def text(self, *path: str | int) -> str:
        """A value as text; empty where there is none."""
        found = self.find(*path)
        return str(found) if isinstance(found, (str, int)) else ""

    def record(self, credential: Credential) -> dict[str, Any]:
        """The answer as it may be kept: bounded, and without the values of the account, which some providers
        repeat in their errors.
        """
        recorded: dict[str, Any] = {"http_status": self.status}
        if self.document is not None:
            body = orjson.dumps(self.document).decode()
            for secret in credential.values.values():
                if len(secret) >= _SHORTEST_SECRET:
                    body = body.replace(orjson.dumps(secret).decode()[1:-1], "***")
            recorded["body"] = orjson.loads(body) if len(body) <= _LARGEST_RECORD else body[:_LARGEST_RECORD]
        return recorded

    def refused(
        self,
        error: ErrorClass,
        reason: str,
        credential: Credential,
        *,
        retry_after_seconds: float | None = None,
        dead_addresses: tuple[str, ...] = (),
    ) -> Refused:
        """A refusal that records this answer, with the wait that its header asks for unless another is known."""
        wait = retry_after(self.headers) if retry_after_seconds is None else retry_after_seconds
        return Refused(error, reason, self.record(credential), wait, dead_addresses)

    def refused_by_status(self, credential: Credential) -> Refused:
        """What a status means by itself, for answers that say no more."""
        return self.refused(classify_status(self.status), f"HTTP_{self.status}", credential)


def classify_status(status: int) -> ErrorClass:
    """What an HTTP status means that comes without a body that explains it."""
    if status == 429:
        return ErrorClass.QUOTA
    if status in {408, 503}:
        return ErrorClass.TRANSIENT
    # A redirect or a page that is not there: the URL of the account is wrong. It is not followed.
    if status in {401, 403, 404, 405, 407} or 300 <= status < 400:
        return ErrorClass.AUTHENTICATION
    return ErrorClass.CONTENT if 400 <= status < 500 else ErrorClass.AMBIGUOUS
