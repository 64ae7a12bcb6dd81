"""Message templates: versions, refusals, previews."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import orjson
import pytest
from leo.activation.v1 import catalog_service_pb2 as wire

from tests.catalog.conftest import Catalog, template


async def test_versions_follow_each_other_and_content_is_kept_once(
    catalog: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    first = (await catalog.put_template()).message_template
    assert (first.version, first.status, first.language) == (
        1,
        wire.MESSAGE_TEMPLATE_STATUS_ACTIVE,
        "default",
    )
    again = await catalog.put_template()
    assert (again.changed, again.message_template) == (False, first)
    second = (await catalog.put_template(body_template="Other.")).message_template
    assert second.version == 2
    old = await catalog.call("GetMessageTemplate", template_id=first.template_id)
    assert old.message_template.status == wire.MESSAGE_TEMPLATE_STATUS_SUPERSEDED
    back = (await catalog.put_template()).message_template
    assert (back.template_id, back.version) == (first.template_id, 1)
    assert await proof.fetchval("select count(*) from message_templates where status = 'active'") == 1
    assert await proof.fetchval("select count(*) from message_templates") == 2


async def test_a_draft_leaves_the_version_in_use(catalog: Catalog) -> None:
    first = (await catalog.put_template()).message_template
    draft = wire.MESSAGE_TEMPLATE_STATUS_DRAFT
    assert (await catalog.put_template(status=draft)).message_template == first
    second = (await catalog.put_template(body_template="Other.", status=draft)).message_template
    assert (second.version, second.status) == (2, draft)
    used = await catalog.call("ListMessageTemplates", status=wire.MESSAGE_TEMPLATE_STATUS_ACTIVE)
    assert list(used.message_templates) == [first]


async def test_languages_and_channels_have_versions_of_their_own(catalog: Catalog) -> None:
    for fields in ({}, {"language": "vi"}, {"language": "en-GB"}, {"channel": "sms"}):
        assert (await catalog.put_template(**fields)).message_template.version == 1
    assert not (await catalog.put_template(language="EN-gb")).changed
    listed: list[tuple[str, str]] = []
    token = ""
    while not listed or token:
        page = {"page_size": 3, "page_token": token}
        part = await catalog.call("ListMessageTemplates", page=page, template_name="thanks")
        listed += [(item.channel, item.language) for item in part.message_templates]
        token = part.page.next_page_token
    assert listed == [("email", "default"), ("email", "en-GB"), ("email", "vi"), ("sms", "default")]


async def test_a_preview_renders_what_is_stored(catalog: Catalog) -> None:
    stored = (await catalog.put_template()).message_template
    variables = orjson.dumps({"profile": {"name": "<Nam>"}, "event": {"amount": 12.5}})
    shown = await catalog.call("PreviewMessageTemplate", template_id=stored.template_id, variables=variables)
    assert (shown.subject, shown.body) == ("Thanks, <Nam>", "You spent 12.5.")


async def test_a_preview_of_html_escapes_the_body_only(catalog: Catalog) -> None:
    draft = {
        "subject_template": "{{ x }}",
        "body_template": "<b>{{ x }}</b>",
        "metadata": b'{"content_type": "text/html"}',
    }
    shown = await catalog.call("PreviewMessageTemplate", draft=draft, variables=b'{"x": "<i>"}')
    assert (shown.subject, shown.body) == ("<i>", "<b>&lt;i&gt;</b>")


async def test_a_missing_variable_is_named(catalog: Catalog) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await catalog.call("PreviewMessageTemplate", draft={"body_template": "{{ profile.first_name }}"},
                           variables=b'{"profile": {}}')  # fmt: skip
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "first_name" in (caught.value.details() or "")


async def test_a_preview_that_never_ends_is_stopped(catalog: Catalog) -> None:
    loop = "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}"
    refused = await catalog.refusal(
        "PreviewMessageTemplate", draft={"body_template": loop}, variables=orjson.dumps({"x": [1] * 1000})
    )
    assert refused == grpc.StatusCode.INVALID_ARGUMENT


async def test_tenants_see_nothing_of_each_other(catalog: Catalog, other_catalog: Catalog) -> None:
    mine = (await catalog.put_template()).message_template
    for method in ("GetMessageTemplate", "PreviewMessageTemplate"):
        refused = await other_catalog.refusal(method, template_id=mine.template_id)
        assert refused == grpc.StatusCode.NOT_FOUND
    theirs = (await other_catalog.put_template()).message_template
    assert theirs.template_id != mine.template_id


ZNS = {"template_id": "77", "template_data": {"name": "{{ profile.name }}"}}


async def test_what_a_channel_needs_is_checked_kept_and_previewed(catalog: Catalog) -> None:
    stored = await catalog.put_template(channel="zalo", metadata=orjson.dumps({**ZNS, "owner": "Hoa"}))
    template_id = stored.message_template.template_id
    variables = orjson.dumps({"profile": {"name": "Nam"}, "event": {"amount": 1}})
    shown = await catalog.call("PreviewMessageTemplate", template_id=template_id, variables=variables)
    assert dict(shown.metadata) == {
        "metadata.template_id": "77",
        "metadata.template_data.name": "Nam",
    }
    draft = {"channel": "push", "body_template": "x", "metadata": b'{"url": "https://a.example/{{ id }}"}'}
    shown = await catalog.call("PreviewMessageTemplate", draft=draft, variables=b'{"id": 5}')
    assert dict(shown.metadata) == {"metadata.url": "https://a.example/5"}


async def test_liquid_is_stored_and_previewed(catalog: Catalog) -> None:
    fields = {"template_engine": "liquid", "subject_template": "", "body_template": "Hi {{ name | upcase }}"}
    stored = (await catalog.put_template(**fields)).message_template
    shown = await catalog.call(
        "PreviewMessageTemplate", template_id=stored.template_id, variables=b'{"name": "nam"}'
    )
    assert (stored.template_engine, shown.body) == ("liquid", "Hi NAM")


async def test_the_path_of_a_fault_in_the_metadata_is_told(catalog: Catalog) -> None:
    bad = {"template_id": 7, "template_data": {"name": "{{ x"}}
    for metadata, path in (
        (bad, "metadata.template_id"),
        ({**bad, "template_id": "7"}, "template_data.name"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await catalog.put_template(channel="zalo", metadata=orjson.dumps(metadata))
        assert path in (caught.value.details() or "")


BAD: list[dict[str, Any]] = [
    {"channel": "zalo"},
    {"channel": "zalo", "metadata": b'{"template_id": "1"}'},
    {"channel": "zalo", "metadata": b'{"template_id": "1", "template_data": {"a": 1}}'},
    {"channel": "zalo", "metadata": b'{"template_id": "1", "template_data": ["a"]}'},
    {"channel": "whatsapp", "metadata": b'{"template_parameters": "a"}'},
    {"channel": "whatsapp", "metadata": orjson.dumps({"template_parameters": ["a"] * 101})},
    {"channel": "facebook", "metadata": b'{"messaging_type": "SHOUT"}'},
    {"channel": "push", "metadata": b'{"content_type": "text/html"}'},
    {"channel": "telegram", "metadata": b'{"content_type": "text/html"}'},
    {"channel": "push", "metadata": b'{"url": "{% if %}"}'},
    {"channel": "pushalert"},
    {"template_name": ""},
    {"channel": "fax"},
    {"language": "english please"},
    {"body_template": ""},
    {"body_template": "x" * 200_001},
    {"body_template": "{% if %}"},
    {"subject_template": "{{ x"},
    {"subject_template": "x" * 1001},
    {"template_engine": "handlebars"},
    {"template_engine": "erb"},
    {"metadata": b"{"},
    {"metadata": b'{"content_type": "image/png"}'},
    {"status": wire.MESSAGE_TEMPLATE_STATUS_SUPERSEDED},
]


async def test_bad_templates_are_refused_and_change_nothing(catalog: Catalog) -> None:
    for fields in BAD:
        refused = await catalog.refusal("PutMessageTemplate", message_template=template(**fields))
        assert refused == grpc.StatusCode.INVALID_ARGUMENT, fields
    assert await catalog.refusal("PreviewMessageTemplate") == grpc.StatusCode.INVALID_ARGUMENT
    assert await catalog.refusal("GetMessageTemplate", template_id="x") == grpc.StatusCode.INVALID_ARGUMENT
    missing = await catalog.refusal("GetMessageTemplate", template_id=str(uuid4()))
    assert missing == grpc.StatusCode.NOT_FOUND
    assert len((await catalog.call("ListMessageTemplates")).message_templates) == 0
