"""Use cases of message templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from server.catalog.model import MessageTemplate, Rendered, TemplateRules
from server.catalog.store import MessageTemplateStore
from server.errors import FieldViolation, InvalidInput, NotFound
from server.paging import Key, Page, PageRequest, open_cursor
from server.platform.ids import canonical_json, content_id
from server.platform.postgres import Connection, Database
from server.templates import Escaping, MissingVariable, TemplateFault, escaping_of, render
from server.validation import Violations


class MessageTemplates:
    """Puts, reads and previews message templates."""

    def __init__(self, *, database: Database, store: MessageTemplateStore, rules: TemplateRules) -> None:
        self._database = database
        self._store = store
        self._rules = rules

    async def put(self, tenant_id: UUID, template: MessageTemplate) -> tuple[MessageTemplate, bool]:
        """Store this content as a version, or find it; an active one supersedes the version in use.

        Writers of one name wait for each other. PostgreSQL: 4 to 6 round trips.

        Returns:
            The stored version, and whether anything changed.

        Raises:
            InvalidInput: with every fault.
        """
        identified = _identified(tenant_id, template, self._rules)
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.lock_name(connection, tenant_id, identified)
            if identified.status == "active":
                await self._store.supersede(connection, tenant_id, identified)
            written = await self._store.put_message_template(connection, tenant_id, identified)
            assert identified.template_id is not None
            stored = written or await self._found(connection, tenant_id, identified.template_id)
        return stored, written is not None

    async def get(self, tenant_id: UUID, template_id: str) -> MessageTemplate:
        """One version. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id is no UUID.
            NotFound: the tenant has no such version.
        """
        key = _parse_id(template_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._found(connection, tenant_id, key)

    async def list(
        self, tenant_id: UUID, page: PageRequest, *, name: str | None, channel: str | None, status: str | None
    ) -> Page[MessageTemplate]:
        """Versions by name, channel, language and version, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        listing = ["message_templates", name or "", channel or "", status or ""]
        cursor = open_cursor(page, listing=listing, first=("", "", "", 0))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            templates = await self._store.list_message_templates(
                connection,
                tenant_id,
                after=cursor.after,
                name=name,
                channel=channel,
                status=status,
                limit=cursor.limit,
            )
        return cursor.page(templates, _key)

    async def preview_stored(self, tenant_id: UUID, template_id: str, variables: bytes) -> Rendered:
        """Render a stored version. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id is no UUID, or the variables do not do.
            NotFound: the tenant has no such version.
        """
        return _rendered(await self.get(tenant_id, template_id), self._rules, variables)

    def preview_draft(self, draft: MessageTemplate, variables: bytes) -> Rendered:
        """Render a text that is not stored.

        Raises:
            InvalidInput: the text has faults, or the variables do not do.
        """
        violations = Violations("draft")
        if draft.channel:
            violations.channel("channel", draft.channel)
        draft.check_text(self._rules, violations)
        violations.raise_if_any()
        return _rendered(draft, self._rules, variables)

    async def _found(self, connection: Connection, tenant_id: UUID, template_id: UUID) -> MessageTemplate:
        template = await self._store.get_message_template(connection, tenant_id, template_id)
        if template is None:
            raise NotFound("message template", str(template_id))
        return template


def _identified(tenant_id: UUID, template: MessageTemplate, rules: TemplateRules) -> MessageTemplate:
    """The template with its language and metadata in their normal form and the id of its content."""
    violations = Violations("message_template")
    metadata = template.check(rules, violations)
    violations.raise_if_any()
    spelled = replace(
        template,
        language=template.normal_language() or template.language,
        metadata=canonical_json(metadata).encode(),
        required_variables=template.needed_variables(rules, metadata),
    )
    key = content_id("template", tenant_id, spelled.content(metadata))
    return replace(spelled, template_id=UUID(key[:32]))


def _rendered(template: MessageTemplate, rules: TemplateRules, variables: bytes) -> Rendered:
    violations = Violations()
    given = violations.document("variables", variables)
    violations.raise_if_any()
    metadata = orjson.loads(template.metadata or b"{}")
    content_type = metadata.get("content_type", "")
    engine = template.template_engine
    return Rendered(
        subject=_render("subject_template", template.subject_template, given, engine, Escaping.NONE),
        body=_render("body_template", template.body_template, given, engine, escaping_of(content_type)),
        metadata={
            path: _render(path, source, given, engine, Escaping.NONE)
            for path, source in rules.texts(template.channel, metadata)
        },
    )


def _render(field: str, source: str, variables: Mapping[str, Any], engine: str, escaping: Escaping) -> str:
    try:
        return render(source, variables, engine=engine, escaping=escaping)
    except MissingVariable as fault:
        raise InvalidInput([FieldViolation("variables", f"{field}: {fault}")]) from fault
    except TemplateFault as fault:
        raise InvalidInput([FieldViolation(field, str(fault))]) from fault


def _parse_id(template_id: str) -> UUID:
    violations = Violations()
    key = violations.uuid("template_id", template_id)
    violations.raise_if_any()
    assert key is not None
    return key


def _key(template: MessageTemplate) -> Key:
    return template.template_name, template.channel, template.language, template.version
