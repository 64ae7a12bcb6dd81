"""Where a client's token comes from: a text, a function, or the issuer's client-credentials flow."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

_RENEW_BEFORE_SECONDS: Final = 30.0
_FETCH_TIMEOUT_SECONDS: Final = 10.0


class TokenUnavailable(Exception):
    """The issuer gave no token."""


class TokenSource(Protocol):
    """A token that may have to be fetched."""

    def current(self) -> str | None:
        """The token, when none has to be fetched; never blocks."""
        ...

    def fetch(self) -> str:
        """A good token; may block for one HTTP request.

        Raises:
            TokenUnavailable: the issuer gave none.
        """
        ...


Token: TypeAlias = str | Callable[[], str] | TokenSource
"""What a client takes: a token, a quick function that returns one, or a source."""


class ClientCredentials:
    """Tokens by the OAuth 2 client-credentials flow; renewed half a minute before they expire.

    Args:
        token_url: the issuer's token endpoint.
        client_id: the client.
        client_secret: its secret.
        scope: scopes separated by spaces; empty for the client's defaults.
    """

    def __init__(self, token_url: str, *, client_id: str, client_secret: str, scope: str = "") -> None:
        self._token_url = token_url
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._form = urllib.parse.urlencode({**form, "scope": scope} if scope else form).encode()
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def current(self) -> str | None:
        """As `TokenSource.current`."""
        return self._token if time.monotonic() < self._good_until else None

    def fetch(self) -> str:
        """As `TokenSource.fetch`; callers that come together share one request."""
        with self._lock:
            if (token := self.current()) is not None:
                return token
            asked_at = time.monotonic()
            answer = self._ask()
            self._good_until = asked_at + float(answer["expires_in"]) - _RENEW_BEFORE_SECONDS
            self._token = str(answer["access_token"])
            return self._token

    def _ask(self) -> dict[str, str | float]:
        try:
            with urllib.request.urlopen(  # noqa: S310 - the URL is the caller's own configuration
                self._token_url, data=self._form, timeout=_FETCH_TIMEOUT_SECONDS
            ) as response:
                answer = json.loads(response.read())
        except (OSError, ValueError) as error:
            raise TokenUnavailable("the issuer gave no token") from error
        if not isinstance(answer, dict) or not {"access_token", "expires_in"} <= answer.keys():
            raise TokenUnavailable("the issuer's answer holds no token")
        return answer


class _Given:
    """A token that never has to be fetched."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def current(self) -> str | None:
        return self._token()

    def fetch(self) -> str:
        return self._token()


def token_source(token: Token) -> TokenSource:
    """The source behind whatever a client was given."""
    if isinstance(token, str):
        return _Given(lambda: token)
    return _Given(token) if callable(token) else token
