"""The kinds of source: what each takes as its connection, where that leads, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, ValidationError

from server.errors import FieldViolation
from server.sync.model import SourceType
from server.sync.reach import Reach
from server.sync.sources.arango.settings import ArangoSettings
from server.sync.sources.arango.source import ArangoSource
from server.sync.sources.files import FileSettings, FileSource
from server.sync.sources.postgres import PostgresSettings, PostgresSource
from server.sync.sources.source import KnownNames, Source

_PORTS: Final = {"http": 80, "https": 443}
_Settings = TypeVar("_Settings", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source is opened with beside its settings.

    Args:
        known: names of the documents that profiles came from; None where nobody asks for them.
    """

    tenant_id: UUID
    password: str
    reach: Reach
    known: KnownNames | None


@dataclass(frozen=True, slots=True)
class Kind(Generic[_Settings]):
    """One kind.

    Args:
        settings: its connection as it is checked.
        check: that the connection may lead there; raises NotAllowed.
        leads_to: whom a password is shown to and as whom; None where there is no password.
        names_by: the attribute by which documents are found to have vanished; None where that is not looked for.
        open: makes the source; connects to nothing yet.
    """

    settings: type[_Settings]
    check: Callable[[_Settings, Reach], None]
    leads_to: Callable[[_Settings], str | None]
    names_by: Callable[[_Settings], str | None]
    open: Callable[[_Settings, Opening], Source]

    def read(self, connection: Mapping[str, Any]) -> _Settings:
        """The connection, checked.

        Raises:
            ConnectionNotValid: with the path of every fault.
        """
        try:
            return self.settings.model_validate(connection)
        except ValidationError as error:
            faults = (FieldViolation(_path(fault["loc"]), fault["msg"]) for fault in error.errors())
            raise ConnectionNotValid(tuple(faults)) from None


class ConnectionNotValid(Exception):
    """A connection that is not as its kind takes it; with the path and the cure of each fault."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.description}" for fault in violations))
        self.violations = violations


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _arango_host(settings: ArangoSettings) -> tuple[str, int]:
    parts = urlsplit(settings.url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _nobody(_settings: BaseModel) -> None:
    return None


_ARANGODB: Final = Kind(
    settings=ArangoSettings,
    check=lambda settings, reach: reach.check_host(*_arango_host(settings)),
    leads_to=lambda settings: f"{settings.url} {settings.username}",
    names_by=lambda settings: "_key" if settings.sweep is not None else None,
    open=lambda settings, opening: ArangoSource(settings, password=opening.password, known=opening.known),
)
_POSTGRESQL: Final = Kind(
    settings=PostgresSettings,
    check=lambda settings, reach: reach.check_host(settings.host, settings.port),
    leads_to=lambda settings: f"{settings.host}:{settings.port} {settings.user} {settings.ssl}",
    names_by=_nobody,
    open=lambda settings, opening: PostgresSource(settings, password=opening.password),
)
_FILE: Final = Kind(
    settings=FileSettings,
    check=lambda settings, reach: reach.check_pattern(settings.path),
    leads_to=_nobody,
    names_by=_nobody,
    open=lambda settings, opening: FileSource(settings, tenant_id=opening.tenant_id, reach=opening.reach),
)
AnyKind: TypeAlias = Kind[Any]
KINDS: Final[Mapping[SourceType, AnyKind]] = {
    SourceType.ARANGODB: _ARANGODB,
    SourceType.POSTGRESQL: _POSTGRESQL,
    SourceType.FILE: _FILE,
}
