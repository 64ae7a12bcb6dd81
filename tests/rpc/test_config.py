"""Configuration: variables, the file, and faults that name their variable and no value."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from server.config import ConfigurationError, ServerSettings, Settings, WorkerSettings, load_settings

PASSWORD = "very-secret-password"
KEY = "K" * 43
Good = dict[str, str]


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LEO_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def good(tmp_path: Path) -> Good:
    keys = tmp_path / "jwks.json"
    keys.write_text("{}")
    return {
        "LEO_DATABASE_URL": f"postgresql://leo_app:{PASSWORD}@localhost/leo",
        "LEO_REDIS_URL": "redis://localhost/0",
        "LEO_AUTH_ISSUER": "https://id.example.com/realms/",
        "LEO_AUTH_AUDIENCE": "leo",
        "LEO_AUTH_JWKS": str(keys),
    }


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], ServerSettings]:
    def load(variables: dict[str, str]) -> ServerSettings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings(ServerSettings)

    return load


def test_variables_are_read_and_frozen(good: Good, load: Callable[[Good], ServerSettings]) -> None:
    settings = load({**good, "LEO_PROCESSES": "3", "LEO_SMTP_URL": ""})
    assert (settings.processes, settings.smtp_url) == (3, None)
    assert settings.auth_issuer == "https://id.example.com/realms"
    with pytest.raises(ValueError, match="frozen"):
        settings.processes = 4


def test_secrets_show_nowhere_but_travel_to_child_processes(
    good: Good, load: Callable[[Good], ServerSettings]
) -> None:
    settings = load({**good, "LEO_REDIS_URL": f"redis://:{PASSWORD}@localhost/0"})
    assert PASSWORD not in repr(settings) + str(settings) + settings.model_dump_json()
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_the_file_gives_what_variables_do_not(
    good: Good, load: Callable[[Good], ServerSettings], tmp_path: Path
) -> None:
    file = tmp_path / "leo.toml"
    file.write_text('listen = "0.0.0.0:7000"\nprocesses = 2\n')
    settings = load({**good, "LEO_CONFIG": str(file), "LEO_PROCESSES": "5"})
    assert (settings.listen, settings.processes) == ("0.0.0.0:7000", 5)


def test_all_faults_are_named_together_without_values(load: Callable[[Good], ServerSettings]) -> None:
    bad = {
        "LEO_DATABASE_URL": f"mysql://leo:{PASSWORD}@localhost/leo",
        "LEO_REDIS_URL": f"http://{PASSWORD}",
        "LEO_LISTEN": "nowhere",
        "LEO_AUTH_ISSUER": "realm",
        "LEO_AUTH_JWKS": "/does/not/exist",
        "LEO_PROCESSES": "many",
        "LEO_LOG_LEVEL": "LOUD",
        "LEO_DRAIN_SECONDS": "-1",
    }
    with pytest.raises(ConfigurationError) as caught:
        load(bad)
    text = str(caught.value)
    for name in (*bad, "LEO_AUTH_AUDIENCE"):
        assert f"\n  {name}: " in text
    assert PASSWORD not in text


@pytest.mark.parametrize("listen", ["host", "host:", ":1", "host:99999", "a b:1", "::1:50051"])
def test_addresses_that_are_none(good: Good, load: Callable[[Good], ServerSettings], listen: str) -> None:
    with pytest.raises(ConfigurationError, match="LEO_LISTEN"):
        load({**good, "LEO_LISTEN": listen})


@pytest.mark.parametrize(
    ("content", "fault"),
    [("listne = 'x'", "listne in the file"), ("= 1", "not TOML"), ("processes = 0", "LEO_PROCESSES")],
)
def test_faults_of_the_file(
    good: Good, load: Callable[[Good], ServerSettings], tmp_path: Path, content: str, fault: str
) -> None:
    file = tmp_path / "leo.toml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=fault):
        load({**good, "LEO_CONFIG": str(file)})


def test_a_file_that_is_not_there(load: Callable[[Good], ServerSettings], good: Good) -> None:
    with pytest.raises(ConfigurationError, match="LEO_CONFIG: the file can not be read"):
        load({**good, "LEO_CONFIG": "/does/not/exist"})


def test_keys_come_from_a_variable_or_a_file_and_show_nowhere(
    good: Good, load: Callable[[Good], ServerSettings], tmp_path: Path
) -> None:
    text, file = f"2026:{KEY}, 2025:{KEY}=\n", tmp_path / "keys"
    file.write_text(text)
    given = load({**good, "LEO_CREDENTIAL_KEYS": text})
    read = load({**good, "LEO_CREDENTIAL_KEYS": "", "LEO_CREDENTIAL_KEYS_FILE": str(file)})
    for settings in (given, read):
        assert settings.credential_keys_text is not None
        assert settings.credential_keys_text.get_secret_value() == text
        assert KEY not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("keys", [KEY, f"a:{KEY}x", f"a:{KEY},a:{KEY}", f"a b:{KEY}"])
def test_malformed_keys_are_refused_without_showing_them(
    good: Good, load: Callable[[Good], ServerSettings], tmp_path: Path, keys: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(keys)
    for bad in ({"LEO_CREDENTIAL_KEYS": keys}, {"LEO_CREDENTIAL_KEYS_FILE": str(file)}):
        with pytest.raises(ConfigurationError, match=next(iter(bad))) as caught:
            load({**good, "LEO_CREDENTIAL_KEYS": "", **bad})
        assert KEY not in str(caught.value)
    both = {"LEO_CREDENTIAL_KEYS": f"a:{KEY}", "LEO_CREDENTIAL_KEYS_FILE": str(file)}
    with pytest.raises(ConfigurationError, match="either this or LEO_CREDENTIAL_KEYS"):
        load({**good, **both})


def test_each_process_asks_only_for_what_it_needs() -> None:
    assert load_settings(Settings).database_url is None
    with pytest.raises(ConfigurationError) as caught:
        load_settings(WorkerSettings)
    assert "LEO_BROKER_URL" in str(caught.value)
    assert "LEO_AUTH_ISSUER" not in str(caught.value)
