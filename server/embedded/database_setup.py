"""Prepares a database from nothing: created, bootstrapped, its roles able to log in, migrated."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from server.embedded.state import checkout_directory
from server.platform.migrations import MigrationAction, migrate
from server.platform.queries import Queries

LOGIN_ROLES = ("leo_owner", "leo_app", "leo_worker", "leo_admin", "leo_proof")
_SCRYPT_COST = 4096


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """URLs of one database, one for each role that logs in."""

    superuser_url: str
    owner_url: str
    app_url: str
    worker_url: str
    admin_url: str
    proof_url: str


def with_database(url: str, name: str) -> str:
    """The same server's URL of another database."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name)))


def role_urls(superuser_url: str) -> DatabaseUrls:
    """The URLs of the roles in the superuser's database.

    A role's password follows from the superuser's (one way only), so that everything that may bootstrap
    one cluster agrees on it, and none locks out another.
    """
    owner, app, worker, admin, proof = (_role_url(superuser_url, role) for role in LOGIN_ROLES)
    return DatabaseUrls(superuser_url, owner, app, worker, admin, proof)


async def create_database(superuser_url: str) -> None:
    """Create the database that the URL names, unless it exists. Two or three round trips."""
    queries = Queries.load("embedded")
    name = unquote(urlsplit(superuser_url).path[1:])
    connection = await asyncpg.connect(with_database(superuser_url, "postgres"))
    try:
        if not await connection.fetchval(queries["database_exists"], name):
            await connection.execute(await connection.fetchval(queries["create_database_statement"], name))
    finally:
        await connection.close()


async def bootstrap_database(superuser_url: str) -> DatabaseUrls:
    """Run `db/bootstrap.sql` and let the roles log in. May be repeated."""
    queries = Queries.load("embedded")
    connection = await asyncpg.connect(superuser_url)
    try:
        await connection.execute((_database_directory() / "bootstrap.sql").read_text())
        await connection.execute(await connection.fetchval(queries["own_database_statement"]))
        for role in LOGIN_ROLES:
            password = _role_password(superuser_url, role)
            statement = await connection.fetchval(queries["role_password_statement"], role, password)
            await connection.execute(statement)
    finally:
        await connection.close()
    return role_urls(superuser_url)


async def prepare_database(superuser_url: str) -> DatabaseUrls:
    """Create, bootstrap and migrate the database that the URL names. May be repeated."""
    await create_database(superuser_url)
    urls = await bootstrap_database(superuser_url)
    await migrate(urls.owner_url, MigrationAction.UP)
    return urls


def _role_url(superuser_url: str, role: str) -> str:
    parts = urlsplit(superuser_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{_role_password(superuser_url, role)}@{address}"))


def _role_password(superuser_url: str, role: str) -> str:
    secret = unquote(urlsplit(superuser_url).password or "")
    key = hashlib.scrypt(secret.encode(), salt=role.encode(), n=_SCRYPT_COST, r=8, p=1, dklen=24)
    return key.hex()


def _database_directory() -> Path:
    return checkout_directory() / "db"


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(url)
    user, at, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{address}"))
