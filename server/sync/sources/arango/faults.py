"""What goes wrong with an ArangoDB, and what that is to the synchronisation.

Texts are made here from the settings and from codes: what the server says is not passed on, since it may quote a
document.
"""

from __future__ import annotations

from typing import Final

from arangoasync.exceptions import ArangoServerError

from server.sync.sources.arango.settings import ArangoSettings
from server.sync.sources.source import SourceAway, SourceRefused

_NO_CURSOR: Final = 1600
_KILLED: Final = 1500
_NO_INDEX: Final = "is there an index on [{update_attribute}, _key]?"
_CURES: Final = {
    1203: "there is no collection {collection!r} in database {database!r}: correct collection, or create it",
    1228: "there is no database {database!r}: correct database",
    1501: "it can not read the query: ArangoDB 3.11 or newer is needed",
    1540: "it does not know a function of the query: ArangoDB 3.11 or newer is needed",
    1542: "it can not apply the query to {update_attribute!r}: correct update_attribute",
    1553: "it does not take collection or attribute names as they are given: correct {collection!r}",
    1579: "{collection!r} can not be read by a query: name a document collection, not a view",
}
_AWAY: Final = {
    32: "the query needs more memory than it may: " + _NO_INDEX,
    1601: "the cursor is busy with a batch that was asked for before; " + _NO_INDEX,
    _KILLED: "the query was ended, e.g. since it took longer than max_runtime_seconds; " + _NO_INDEX,
}


class AnswerLost(Exception):
    """The request went out, and no whole answer came back: what was asked may have happened."""


class AnswerTooLarge(Exception):
    """An answer is larger than one may be."""


class CursorGone(Exception):
    """The server has let go of the cursor in the middle of a query."""


def is_gone(error: ArangoServerError) -> bool:
    """Whether a cursor that was open is not there any more: expired, of a server that restarted, or killed."""
    return error.http_code == 404 or error.error_code in (_NO_CURSOR, _KILLED)


def meaning_of(error: ArangoServerError, settings: ArangoSettings) -> SourceAway | SourceRefused:
    """What an error answer is to the synchronisation."""
    # The error's own number is the status where ArangoDB gave none.
    status, number = error.http_code, error.response.error_code
    if status == 401:
        return refused(settings, f"it does not accept {settings.username!r} and the password: correct them")
    if status == 403:
        names = f"collection {settings.collection!r} of database {settings.database!r}"
        return refused(settings, f"{settings.username!r} may not read {names}: grant it read access")
    if number in _AWAY:
        return away(settings, _AWAY[number].format(**settings.model_dump()))
    if status >= 500 or status in (408, 409, 410, 412, 429):
        return away(settings, f"it answers {status}{_numbered(number)}")
    if number in _CURES:
        return refused(settings, _CURES[number].format(**settings.model_dump()))
    if number is None:
        return refused(settings, f"what answers there ({status}) is no ArangoDB: correct url")
    return refused(settings, f"it refuses the query ({status}{_numbered(number)})")


def took_too_long(settings: ArangoSettings) -> str:
    """That there was no answer, and what may be the cause."""
    index = _NO_INDEX.format(update_attribute=settings.update_attribute)
    return f"no answer within {settings.timeout_seconds:g} s; {index}"


def away(settings: ArangoSettings, what: str) -> SourceAway:
    """An ArangoDB that may be back soon."""
    return SourceAway(f"ArangoDB at {settings.url}: {what}")


def refused(settings: ArangoSettings, what: str) -> SourceRefused:
    """An ArangoDB that somebody has to do something about."""
    return SourceRefused(f"ArangoDB at {settings.url}: {what}")


def _numbered(number: int | None) -> str:
    return "" if number is None else f", error {number}"
