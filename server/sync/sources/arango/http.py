"""The client's HTTP: bounded answers, no redirects, and each way to fail told apart.

The client sends a request again by itself when a connection breaks, and a next batch that was asked for twice is a
batch that nobody read. So failures leave here as errors that it does not know, and who asked decides.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from typing import Any, Final

import aiohttp
import orjson
from arangoasync.auth import Auth
from arangoasync.exceptions import DeserializationError
from arangoasync.http import HTTPClient
from arangoasync.request import Request
from arangoasync.response import Response
from arangoasync.serialization import JsonDeserializer

from server.sync.sources.arango.faults import AnswerLost, AnswerTooLarge, away, refused, took_too_long
from server.sync.sources.arango.settings import ArangoSettings

_CONNECTIONS: Final = 2
_CONNECT_SECONDS: Final = 10.0


class BoundedHttp(HTTPClient):
    """Connections to one ArangoDB."""

    def __init__(self, settings: ArangoSettings) -> None:
        self._settings = settings

    def create_session(self, host: str) -> aiohttp.ClientSession:
        """The connections; call it in the event loop that uses them."""
        return aiohttp.ClientSession(
            base_url=host,
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds, connect=_CONNECT_SECONDS),
        )

    async def close_session(self, session: aiohttp.ClientSession) -> None:
        """Close the connections."""
        await session.close()

    async def send_request(self, session: aiohttp.ClientSession, request: Request) -> Response:
        """Send one request, once.

        Raises:
            SourceAway: there was no connection to send it on, or the time was over: what was asked is still under way.
            SourceRefused: the server's certificate is not good.
            AnswerLost: the connection broke.
            AnswerTooLarge: the answer is larger than it may be.
        """
        try:
            return await self._exchange(session, request)
        except aiohttp.ClientConnectorCertificateError:
            raise refused(self._settings, "its certificate is not trusted here") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise away(self._settings, "it can not be reached") from None
        except aiohttp.InvalidURL:
            raise refused(self._settings, "this is no address: correct url") from None
        except TimeoutError:
            raise away(self._settings, took_too_long(self._settings)) from None
        except (aiohttp.ClientError, ConnectionError):
            raise AnswerLost from None

    async def _exchange(self, session: aiohttp.ClientSession, request: Request) -> Response:
        async with session.request(
            request.method.name,
            request.endpoint,
            headers={**request.normalized_headers(), **_credentials(request.auth)},
            params=request.normalized_params(),
            data=request.data,
            allow_redirects=False,
        ) as answer:
            return Response(
                method=request.method,
                url=str(answer.url),
                headers=answer.headers,
                status_code=answer.status,
                status_text=str(answer.reason),
                raw_body=await self._body(answer),
            )

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in answer.content.iter_chunked(1 << 18):
            body += part
            if len(body) > self._settings.largest_answer_bytes:
                raise AnswerTooLarge
        return bytes(body)


class DocumentReader(JsonDeserializer):
    """Reads JSON; also what ArangoDB may hold, but a stricter reader and PostgreSQL refuse.

    Half of a surrogate pair becomes U+FFFD, and a number beyond what a double holds becomes null.
    """

    def loads(self, data: bytes) -> Any:
        """The value of an answer."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return self._loads_odd(data)

    def _loads_odd(self, data: bytes) -> Any:
        try:
            return _made_plain(json.loads(data.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            raise DeserializationError("the answer is no JSON") from None


def _credentials(auth: Auth | None) -> dict[str, str]:
    if auth is None:
        return {}
    token = b64encode(f"{auth.username}:{auth.password}".encode(auth.encoding)).decode()
    return {"Authorization": f"Basic {token}"}


def _made_plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_made_plain(item) for item in value]
    if isinstance(value, dict):
        return {_made_plain(name): _made_plain(item) for name, item in value.items()}
    return value
