"""Message templates in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import orjson

from server.catalog.model import MessageTemplate
from server.paging import Key
from server.platform.postgres import Connection
from server.platform.queries import Queries


class MessageTemplateStore:
    """One method for each statement; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("catalog")

    async def lock_name(self, connection: Connection, tenant_id: UUID, template: MessageTemplate) -> None:
        """Wait for other writers of this name, channel and language."""
        name = [str(tenant_id), template.template_name, template.channel, template.language]
        await connection.execute(
            self._queries["lock_name"], orjson.dumps(["message_template", *name]).decode()
        )

    async def supersede(self, connection: Connection, tenant_id: UUID, template: MessageTemplate) -> None:
        """Take whatever other version is in use out of use."""
        await connection.execute(
            self._queries["supersede_message_template"],
            tenant_id,
            template.template_name,
            template.channel,
            template.language,
            template.template_id,
        )

    async def put_message_template(
        self, connection: Connection, tenant_id: UUID, template: MessageTemplate
    ) -> MessageTemplate | None:
        """The written version; None when nothing changed."""
        row = await connection.fetchrow(
            self._queries["put_message_template"],
            tenant_id,
            template.template_id,
            template.template_name,
            template.channel,
            template.language,
            template.subject_template or None,
            template.body_template,
            template.template_engine,
            template.metadata,
            template.status,
            orjson.dumps(template.required_variables).decode(),
        )
        return _message_template(row) if row else None

    async def get_message_template(
        self, connection: Connection, tenant_id: UUID, template_id: UUID
    ) -> MessageTemplate | None:
        """The version of this id."""
        row = await connection.fetchrow(self._queries["get_message_template"], tenant_id, template_id)
        return _message_template(row) if row else None

    async def list_message_templates(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        after: Key,
        name: str | None,
        channel: str | None,
        status: str | None,
        limit: int,
    ) -> list[MessageTemplate]:
        """Versions after a key, by name, channel, language and version."""
        rows = await connection.fetch(
            self._queries["list_message_templates"], tenant_id, *after, name, channel, status, limit
        )
        return [_message_template(row) for row in rows]


def _message_template(row: asyncpg.Record) -> MessageTemplate:
    return MessageTemplate(
        template_id=row["template_id"],
        template_name=row["template_name"],
        channel=row["channel"],
        language=row["language"],
        subject_template=row["subject_template"] or "",
        body_template=row["body_template"],
        template_engine=row["template_engine"],
        metadata=row["metadata"].encode(),
        version=row["version"],
        status=row["status"],
        required_variables=tuple(map(tuple, orjson.loads(row["required_variables"]))),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
