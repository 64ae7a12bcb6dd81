"""What single providers do beside the cases that all of them share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from server.dispatch.channels.channel import (
    MARKDOWN,
    Accepted,
    BadAddress,
    Channel,
    Credential,
    ErrorClass,
    Refused,
)
from server.dispatch.channels.name_lookup import NameLookup
from server.dispatch.channels.registry import HTTP_CHANNELS, ProviderSetup, http_channels
from server.dispatch.channels.web_push import WebPush
from tests.dispatch.channels.conftest import HTTP_NAMES, Adapters
from tests.dispatch.channels.fakes import telegram
from tests.dispatch.channels.fakes.provider import Reply, never
from tests.dispatch.channels.fakes.push import DEVICE, UNREGISTERED, Browser, FirebaseWire, failed
from tests.dispatch.channels.fakes.wire import TEXT, HttpWire

PATIENCE = 5.0


def only(name: str) -> pytest.MarkDecorator:
    """For one provider."""
    return pytest.mark.parametrize("wire", [name], indirect=True)


over_http = pytest.mark.parametrize("wire", HTTP_NAMES, indirect=True)


async def sent(adapter: Channel, wire: HttpWire, body: str = TEXT, **fields: Any) -> Accepted:
    """A message that is taken."""
    result = await adapter.send(wire.message(body, **fields), wire.credential, wait_seconds=PATIENCE)
    assert isinstance(result, Accepted), result
    return result


async def refused(adapter: Channel, wire: HttpWire, body: str = TEXT, **fields: Any) -> Refused:
    """A message that is not."""
    result = await adapter.send(wire.message(body, **fields), wire.credential, wait_seconds=PATIENCE)
    assert isinstance(result, Refused), result
    return result


@over_http
async def test_an_incomplete_account_never_reaches_the_provider(wire: HttpWire, adapters: Adapters) -> None:
    adapter = adapters.of(wire)
    for each in adapter.credential:
        values = {name: value for name, value in wire.credential.values.items() if name != each.name}
        result = await adapter.send(wire.message(), Credential(values), wait_seconds=PATIENCE)
        if each.required:
            assert isinstance(result, Refused)
            assert result.error is ErrorClass.AUTHENTICATION
            assert result.response == {"missing": [each.name]}
    assert len(wire.received()) <= sum(not each.required for each in adapter.credential)


@over_http
async def test_no_secret_is_recorded_when_a_provider_repeats_it(wire: HttpWire, adapters: Adapters) -> None:
    echo = orjson.dumps({"error": "no", "seen": list(wire.credential.values.values())})
    wire.fake.scripts.append(Reply(500, echo))
    adapter = adapters.of(wire)

    result = await refused(adapter, wire)

    shown = repr(result) + repr(wire.credential) + orjson.dumps(result.response).decode()
    for each in adapter.credential:
        if each.secret:
            assert wire.credential.get(each.name, "nothing") not in shown


@over_http
async def test_a_line_end_in_an_account_adds_no_header(wire: HttpWire, adapters: Adapters) -> None:
    values = {
        name: value + "\r\nX-Evil: 1" for name, value in wire.credential.values.items() if name != "url"
    }
    credential = Credential({**wire.credential.values, **values})

    result = await adapters.of(wire).send(wire.message(), credential, wait_seconds=PATIENCE)

    assert all("x-evil" not in each.headers for each in wire.fake.received)
    if not wire.fake.received:
        assert isinstance(result, Refused)
        assert result.error is ErrorClass.AUTHENTICATION


@over_http
async def test_the_meaning_of_a_code_can_be_configured(wire: HttpWire) -> None:
    setup = ProviderSetup(codes={wire.name: {"some code": ErrorClass.RECIPIENT}})
    [channel] = [each for each in http_channels(setup) if each.provider == wire.name]
    assert channel._codes["some code"] is ErrorClass.RECIPIENT  # type: ignore[attr-defined]


def test_every_channel_declares_itself() -> None:
    assert len({kind.provider for kind in HTTP_CHANNELS}) == len(HTTP_CHANNELS)
    for kind in HTTP_CHANNELS:
        assert kind.credential
        assert kind.limits.per_second > 0
        assert kind.limits.burst >= 1
        assert any(each.secret and each.required for each in kind.credential)


@only("telegram")
async def test_telegram_gets_plain_text_when_it_can_not_read_the_markup(
    wire: HttpWire, adapters: Adapters
) -> None:
    result = await sent(adapters.of(wire), wire, "1.5 \\> 1\\! *open", content_type=MARKDOWN, subject="A.b")

    first, second = (each.json() for each in wire.fake.received)
    assert first["parse_mode"] == "MarkdownV2"
    assert first["text"] == "*A\\.b*\n\n1.5 \\> 1\\! *open"
    assert second == {"chat_id": "987654321", "text": "A.b\n\n1.5 > 1! *open"}
    assert result.provider_message_id == "4711"


@only("telegram")
async def test_a_correction_that_is_never_answered_may_have_been_sent(
    wire: HttpWire, adapters: Adapters
) -> None:
    wire.fake.scripts.append(telegram.failed(400, "Bad Request: can't parse entities: unclosed"))
    wire.fake.scripts.append(never)

    result = await adapters.of(wire, timeout_seconds=0.2).send(
        wire.message(), wire.credential, wait_seconds=PATIENCE
    )

    assert isinstance(result, Refused)
    assert result.error is ErrorClass.AMBIGUOUS
    assert len(wire.fake.received) == 2


@only("telegram")
async def test_telegram_follows_a_group_that_moved(wire: HttpWire, adapters: Adapters) -> None:
    wire.fake.scripts.append(
        telegram.failed(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001234567890)
    )

    await sent(adapters.of(wire), wire)

    assert [each.json()["chat_id"] for each in wire.fake.received] == ["987654321", "-1001234567890"]


@only("telegram")
async def test_telegram_shows_the_title_in_bold(wire: HttpWire, adapters: Adapters) -> None:
    await sent(adapters.of(wire), wire, "x", subject="Đơn 1.5!")

    assert wire.fake.received[0].json()["text"] == "*Đơn 1\\.5\\!*\n\nx"


@only("firebase")
async def test_push_reaches_every_device_and_names_the_dead_ones(wire: HttpWire, adapters: Adapters) -> None:
    def by_token(received: Any) -> Reply:
        token = received.json()["message"]["token"]
        bad = failed(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token")
        other = failed(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")
        late = failed(503, "UNAVAILABLE", "later", "UNAVAILABLE")
        answers = {"gone-token": UNREGISTERED, "bad-token-": bad, "other-sender": other, "late-token": late}
        return answers.get(token) or wire.accept(received)

    wire.fake.usual = by_token
    more = ("gone-token", "bad-token-", "other-sender", "late-token")

    result = await sent(adapters.of(wire, connections=2), wire, more_destinations=more)

    assert len(wire.received()) == 5
    assert set(result.dead_addresses) == {"gone-token", "bad-token-", "other-sender"}
    assert result.response["accepted"] == 1
    assert result.response["refused"]["FCM_UNAVAILABLE"] == 1


@only("firebase")
async def test_push_to_dead_devices_only_is_refused(wire: HttpWire, adapters: Adapters) -> None:
    wire.fake.usual = lambda _received: UNREGISTERED

    result = await refused(adapters.of(wire), wire, more_destinations=("token-no-2",))

    assert (result.error, result.dead_addresses) == (ErrorClass.RECIPIENT, (DEVICE, "token-no-2"))


@only("firebase")
async def test_a_bad_payload_kills_no_token(wire: HttpWire, adapters: Adapters) -> None:
    wire.fake.scripts.append(failed(400, "INVALID_ARGUMENT", "Invalid value at 'message.data'"))

    result = await refused(adapters.of(wire), wire)

    assert (result.error, result.dead_addresses) == (ErrorClass.CONTENT, ())


@only("firebase")
async def test_push_gets_a_token_by_a_signed_assertion(wire: FirebaseWire, adapters: Adapters) -> None:
    wire.fake.usual = lambda _received: Reply(200, {"access_token": "ya29.new", "expires_in": 3599})

    refreshed = await adapters.of(wire).refresh(wire.credential)  # type: ignore[attr-defined]

    assert (refreshed.values, refreshed.expires_in_seconds) == ({"access_token": "ya29.new"}, 3599.0)
    assert "ya29" not in repr(refreshed)
    [request] = wire.fake.received
    assert request.path == "/token"
    assert request.form()["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = wire.claims(request.form()["assertion"])
    assert claims == {
        "iss": "push@leo-shop.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "lifetime": 3600,
        "kid": "key-1",
    }


@only("firebase")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply(400, {"error": "invalid_grant"}), ErrorClass.AUTHENTICATION),
        (Reply(500, b"oops"), ErrorClass.TRANSIENT),
        (Reply(200, {"nothing": 1}), ErrorClass.TRANSIENT),
    ],
)
async def test_push_tells_why_it_got_no_token(
    wire: HttpWire, adapters: Adapters, answer: Reply, error: ErrorClass
) -> None:
    wire.fake.scripts.append(answer)
    result = await adapters.of(wire).refresh(wire.credential)  # type: ignore[attr-defined]
    assert isinstance(result, Refused)
    assert result.error is error


@pytest.mark.parametrize("wire", ["zalo_zns", "zalo_oa"], indirect=True)
async def test_zalo_changes_a_refresh_token_for_a_new_pair(wire: HttpWire, adapters: Adapters) -> None:
    pair = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": "90000"}
    wire.fake.usual = lambda _received: Reply(200, pair)

    refreshed = await adapters.of(wire).refresh(wire.credential)  # type: ignore[attr-defined]

    assert refreshed.values == {"access_token": "access-2", "refresh_token": "refresh-2"}
    assert refreshed.expires_in_seconds == 90_000.0
    [request] = wire.fake.received
    assert (request.path, request.headers["secret_key"]) == ("/v4/oa/access_token", "zalo-app-secret")
    assert request.form() == {
        "refresh_token": "zalo-refresh-token-1",
        "app_id": "4040",
        "grant_type": "refresh_token",
    }


@pytest.mark.parametrize("wire", ["zalo_zns"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply(200, {"error": -14020, "error_name": "Invalid refresh token"}), ErrorClass.AUTHENTICATION),
        (Reply(502, b"<html>bad gateway</html>"), ErrorClass.AMBIGUOUS),
    ],
)
async def test_zalo_tells_why_there_is_no_new_pair(
    wire: HttpWire, adapters: Adapters, answer: Reply, error: ErrorClass
) -> None:
    wire.fake.scripts.append(answer)
    result = await adapters.of(wire).refresh(wire.credential)  # type: ignore[attr-defined]
    assert isinstance(result, Refused)
    assert result.error is error


@pytest.mark.parametrize("wire", ["zalo_zns", "zalo_oa", "firebase"], indirect=True)
async def test_without_an_access_token_nothing_is_sent(wire: HttpWire, adapters: Adapters) -> None:
    values = {name: value for name, value in wire.credential.values.items() if name != "access_token"}

    result = await adapters.of(wire).send(wire.message(), Credential(values), wait_seconds=PATIENCE)

    assert isinstance(result, Refused)
    assert (result.error, result.reason) == (ErrorClass.AUTHENTICATION, "ACCESS_TOKEN_MISSING")
    assert wire.received() == []


@only("pushalert")
async def test_pushalert_names_several_targets_in_one_request(wire: HttpWire, adapters: Adapters) -> None:
    await sent(adapters.of(wire), wire, more_destinations=("subscriber-000002",))

    [request] = wire.fake.received
    assert orjson.loads(request.form()["subscribers"]) == ["subscriber-000001", "subscriber-000002"]
    assert "subscriber" not in request.form()


@only("pushalert")
@pytest.mark.parametrize("destination", ["", " ", "a"])
async def test_pushalert_never_sends_without_a_target(
    wire: HttpWire, adapters: Adapters, destination: str
) -> None:
    for fields in ({"destination": destination}, {"more_destinations": (destination,)}):
        result = await refused(adapters.of(wire), wire, **fields)
        assert (result.error, result.reason) == (ErrorClass.RECIPIENT, "PUSHALERT_NO_TARGET")
    assert wire.received() == []


@only("pushalert")
async def test_pushalert_refuses_text_that_is_too_long_before_it_is_sent(
    wire: HttpWire, adapters: Adapters
) -> None:
    for fields in ({"subject": "x" * 65}, {"body": "x" * 193}):
        assert (await refused(adapters.of(wire), wire, **fields)).error is ErrorClass.CONTENT
    assert wire.received() == []


@only("web_push")
async def test_web_push_reaches_every_browser_and_names_the_dead_ones(
    wire: HttpWire, adapters: Adapters
) -> None:
    wire.fake.usual = lambda received: Reply(404 if received.path == "/gone" else 201)
    gone = Browser(f"{wire.fake.url}/gone").address

    result = await sent(adapters.of(wire), wire, more_destinations=(gone,))

    assert result.dead_addresses == (gone,)


@only("web_push")
@pytest.mark.parametrize("data", [{"data": {"x": "y" * 4000}}, {"ttl_seconds": "soon"}])
async def test_web_push_refuses_what_no_service_takes(
    wire: HttpWire, adapters: Adapters, data: dict[str, Any]
) -> None:
    result = await refused(adapters.of(wire), wire, data=data)
    assert result.error is ErrorClass.CONTENT
    assert wire.received() == []


@only("web_push")
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://10.0.0.1/x", "https://localhost/x"])
async def test_an_endpoint_that_a_customer_named_leads_to_no_private_network(
    wire: HttpWire, url: str
) -> None:
    [channel] = [each for each in http_channels(ProviderSetup()) if isinstance(each, WebPush)]
    address = Browser(url).address
    if url.startswith("http:"):
        with pytest.raises(BadAddress):
            channel.accept_address(address)

    result = await channel.send(
        replace(wire.message(), destination=address), wire.credential, wait_seconds=PATIENCE
    )

    assert isinstance(result, Refused)
    assert result.reason == "URL_IN_PRIVATE_NETWORK"
    await channel.close()


async def test_a_name_that_resolves_into_a_private_network_is_no_host() -> None:
    with pytest.raises(OSError, match="private"):
        await NameLookup(private_networks=False).addresses("localhost", 80)


@only("sendgrid")
async def test_sendgrid_may_name_a_moment(wire: HttpWire, adapters: Adapters) -> None:
    reset = datetime.now(UTC) + timedelta(minutes=5)
    wire.fake.scripts.append(Reply(429, b"", {"X-RateLimit-Reset": str(int(reset.timestamp()))}))

    result = await refused(adapters.of(wire), wire)

    assert result.retry_after_seconds is not None
    assert 200 < result.retry_after_seconds <= 300


@only("whatsapp_cloud")
async def test_whatsapp_sends_text_where_no_template_is_named(wire: HttpWire, adapters: Adapters) -> None:
    await sent(adapters.of(wire), wire, data={})

    body = wire.fake.received[0].json()
    assert (body["type"], body["text"]) == ("text", {"body": TEXT})


@only("facebook_page")
async def test_a_page_may_tag_its_messages(wire: HttpWire, adapters: Adapters) -> None:
    await sent(adapters.of(wire), wire, data={"messaging_type": "MESSAGE_TAG", "tag": "ACCOUNT_UPDATE"})

    body = wire.fake.received[0].json()
    assert (body["messaging_type"], body["tag"]) == ("MESSAGE_TAG", "ACCOUNT_UPDATE")
