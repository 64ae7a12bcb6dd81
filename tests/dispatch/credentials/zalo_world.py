"""Zalo as an account sees it: single-use refresh tokens that rotate, and messages that need the newest token."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from uuid import uuid4

from tests.dispatch.channels.fakes.provider import FakeProvider, Received, Reply
from tests.fixtures import planted

PROVIDERS = ("zalo_zns", "zalo_oauth")
NO_TOKEN = Reply(200, {"error": -124, "message": "Access token invalid"})
TEMPLATE = {"template_id": "7895417", "template_data": {"customer": "{{ profile.first_name }}"}}


@dataclass
class Account:
    """What Zalo knows of one app. The first access token has ended already."""

    app_id: str
    refresh_token: str = ""
    access_token: str = "none yet"
    used: set[str] = field(default_factory=set)
    renewals: int = 0
    reused: int = 0

    def __post_init__(self) -> None:
        self.refresh_token = self.refresh_token or self._new("refresh")

    def values(self) -> dict[str, str]:
        """The account as its owner puts it."""
        return {
            "app_id": self.app_id,
            "app_secret": f"{planted.SECRET}-of-{self.app_id}",
            "refresh_token": self.refresh_token,
        }

    def renew(self, refresh_token: str) -> Reply:
        """A new pair for a refresh token that was not used before."""
        if refresh_token != self.refresh_token:
            self.reused += refresh_token in self.used
            return Reply(200, {"error": -14020, "error_name": "Invalid refresh token"})
        self.used.add(refresh_token)
        self.renewals += 1
        self.refresh_token, self.access_token = self._new("refresh"), self._new("access")
        pair = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        return Reply(200, {**pair, "expires_in": "90000"})

    def _new(self, kind: str) -> str:
        return f"{planted.SECRET}-{kind}-{uuid4().hex}"


class ZaloWorld:
    """Accounts behind one address. Serves from a thread of its own, so that several processes may ask."""

    def __init__(self) -> None:
        self.fake = FakeProvider()
        self.accounts: dict[str, Account] = {}
        self.sent: list[str] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Listen."""
        self.fake.reset(self._answer)

    def end(self) -> None:
        """Stop."""
        self.fake.end()

    def account(self, app_id: str = "4040") -> Account:
        """A new account."""
        self.accounts[app_id] = Account(app_id)
        return self.accounts[app_id]

    def urls(self) -> dict[str, str]:
        """Where adapters find it."""
        return dict.fromkeys(PROVIDERS, self.fake.url)

    def renewals_asked(self) -> int:
        """How often anybody asked for a new pair."""
        return sum(request.path.startswith("/v4/oa/access_token") for request in self.fake.received)

    def _answer(self, received: Received) -> Reply:
        with self._lock:
            if received.path.startswith("/v4/oa/access_token"):
                form = received.form()
                return self.accounts[form["app_id"]].renew(form["refresh_token"])
            token = received.headers.get("access_token")
            if token not in {account.access_token for account in self.accounts.values()}:
                return NO_TOKEN
            self.sent.append(received.json()["phone"])
            return Reply(200, {"error": 0, "message": "Success", "data": {"msg_id": uuid4().hex}})
