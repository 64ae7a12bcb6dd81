"""The `leo` command, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jwt

from server.embedded.database_setup import DatabaseUrls
from server.embedded.state import checkout_directory


def leo(*arguments: str, state: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    return subprocess.run(
        [sys.executable, "-m", "server.cli.main", *arguments],
        cwd=checkout_directory(),
        env=kept | {"LEO_STATE_DIRECTORY": str(state)} | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_token_names_its_tenant_and_scopes(tmp_path: Path) -> None:
    result = leo("token", "--tenant", "acme", "--scope", "catalog.read", "--scope", "admin", state=tmp_path)
    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert (claims["azp"], claims["scope"]) == ("acme", "catalog.read admin")
    assert claims["exp"] - claims["iat"] == 3600


def test_without_scopes_a_token_is_no_administrators(tmp_path: Path) -> None:
    claims = jwt.decode(leo("token", state=tmp_path).stdout.strip(), options={"verify_signature": False})
    assert claims["azp"] == "demo"
    assert "decisions.write" in claims["scope"].split()
    assert "admin" not in claims["scope"].split()


def test_serving_without_a_stack_says_what_to_do(tmp_path: Path) -> None:
    result = leo("serve", state=tmp_path)
    assert result.returncode == 1
    assert "leo up" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_faulty_setting_is_named(tmp_path: Path) -> None:
    result = leo("run", state=tmp_path, LEO_LISTEN="nowhere")
    assert result.returncode == 1
    assert "LEO_LISTEN" in result.stderr
    assert "Traceback" not in result.stderr


def test_migrations_are_listed_taken_back_and_applied(database: DatabaseUrls, tmp_path: Path) -> None:
    def migrate(action: str) -> str:
        result = leo("migrate", action, state=tmp_path, LEO_OWNER_DATABASE_URL=database.owner_url)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert "Pending: 0" in migrate("status")
    assert "Rolled back" in migrate("down")
    assert "Pending: 1" in migrate("status")
    assert "Applied" in migrate("up")
    assert "Pending: 0" in migrate("status")


def test_a_password_never_reaches_the_output(database: DatabaseUrls, tmp_path: Path) -> None:
    wrong = database.owner_url.replace("leo_owner:", "leo_owner:sesame")
    result = leo("migrate", "status", state=tmp_path, LEO_OWNER_DATABASE_URL=wrong)
    assert result.returncode == 1
    assert "password authentication failed" in result.stderr
    assert "sesame" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
