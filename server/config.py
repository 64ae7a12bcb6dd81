"""Configuration: the only reader of the environment and of the TOML file that `LEO_CONFIG` names.

Every value is a variable `LEO_<NAME>`, or the key `<name>` of the file; the variable wins, and an empty one
counts as unset. Values are checked once, frozen, and passed down.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

_PREFIX = "LEO_"
_SENDER = re.compile(r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,40}:[A-Za-z0-9+/_-]{43}=?")
_HOST_PATTERN = re.compile(r"[A-Za-z0-9.*_\[\]:-]+:(\d{1,5}|\*)")
_LISTEN = re.compile(r"^(\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+):(\d{1,5})$")


class ConfigurationError(Exception):
    """The configuration is not usable; the text names every fault with its variable and no value of it."""


def _url(*schemes: str) -> AfterValidator:
    """Accepts URLs of these schemes; never repeats the value, since it may hold a password."""

    def check(value: SecretStr) -> SecretStr:
        if urlsplit(value.get_secret_value()).scheme not in schemes:
            raise ValueError(f"must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return value

    return AfterValidator(check)


def _listen(value: str) -> str:
    match = _LISTEN.match(value)
    if match is None or int(match.group(2)) > 65_535:
        raise ValueError("must be host:port with a port of 0 to 65535, e.g. 127.0.0.1:50051 or [::]:50051")
    return value


def _issuer(value: str) -> str:
    if urlsplit(value).scheme not in {"http", "https"}:
        raise ValueError("must be an http or https URL, e.g. https://id.example.com/realms")
    return value.rstrip("/")


def _jwks(value: str) -> str:
    if urlsplit(value).scheme in {"http", "https"}:
        return value
    if not Path(value).is_file():
        raise ValueError("must be an http or https URL, or the path of a JWKS file that exists")
    return value


def _sender(value: str) -> str:
    name, address = parseaddr(value)
    if not value.isprintable() or not _SENDER.match(address) or (name and not value.endswith(">")):
        raise ValueError("must be an e-mail address, or a name and one: LEO Activation <leo@example.com>")
    return value


def _provider_url(value: str) -> str:
    if urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname:
        raise ValueError("must hold http and https URLs only")
    return value


def _embeddings_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https URL, e.g. https://api.openai.com/v1")
    if parts.username or parts.password:
        raise ValueError("must hold no password; LEO_EMBEDDINGS_KEY takes the key")
    return value


def _sync_hosts(value: str) -> str:
    if not all(_HOST_PATTERN.fullmatch(pattern) for pattern in _parts(value)):
        raise ValueError(
            "must be host:port, e.g. crm.example.com:5432 or *.db.example.com:*, with commas between"
        )
    return value


def _parts(text: str) -> list[str]:
    return [pattern for part in text.split(",") if (pattern := part.strip())]


def _credential_keys(value: SecretStr) -> SecretStr:
    entries = re.split(r"[,\s]+", value.get_secret_value().strip(", \t\r\n"))
    if not all(_KEY.fullmatch(entry) for entry in entries):
        raise ValueError("must be id:base64 of 32 bytes, several ones with commas between them")
    if len({entry.partition(":")[0] for entry in entries}) < len(entries):
        raise ValueError("must not name two keys alike")
    return value


PostgresUrl = Annotated[SecretStr, _url("postgresql", "postgres")]
RedisUrl = Annotated[SecretStr, _url("redis", "rediss", "unix")]
BrokerUrl = Annotated[SecretStr, _url("redis", "rediss", "redis+socket", "amqp", "amqps")]
SmtpUrl = Annotated[SecretStr, _url("smtp", "smtps")]
Sender = Annotated[str, AfterValidator(_sender)]
ListenAddress = Annotated[str, AfterValidator(_listen)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Jwks = Annotated[str, AfterValidator(_jwks)]
EmbeddingsUrl = Annotated[str, AfterValidator(_embeddings_url)]
ProviderUrl = Annotated[str, AfterValidator(_provider_url)]
SyncHosts = Annotated[str, AfterValidator(_sync_hosts)]
CredentialKeysText = Annotated[SecretStr, AfterValidator(_credential_keys)]
ErrorClassName = Literal["recipient", "content", "authentication", "quota", "transient", "ambiguous"]


class Settings(BaseSettings):
    """What any process may be told. Subclasses say what a kind of process cannot do without."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    database_url: PostgresUrl | None = Field(
        None, description="PostgreSQL, as the process's own serving role"
    )
    admin_database_url: PostgresUrl | None = Field(
        None, description="PostgreSQL as leo_admin; TenantService is served only when it is set"
    )
    owner_database_url: PostgresUrl | None = Field(
        None, description="PostgreSQL as leo_owner, for migrations"
    )
    redis_url: RedisUrl | None = Field(None, description="Redis for reservations; holds nothing durable")
    broker_url: BrokerUrl | None = Field(None, description="Celery's broker: Redis or RabbitMQ")
    smtp_url: SmtpUrl | None = Field(None, description="the mail relay; e-mail is sent only where it is set")
    smtp_sender: Sender = Field(
        "LEO Activation <leo@localhost>", description="From of every e-mail, and the sender of its envelope"
    )
    smtp_connections: int = Field(16, ge=1, le=500, description="connections to the relay of one worker")
    credential_keys: CredentialKeysText | None = Field(
        None, description="keys that encrypt channel credentials: id:base64 of 32 bytes, newest first"
    )
    credential_keys_file: str | None = Field(
        None, min_length=1, description="a file with the same, one for each line; instead of the variable"
    )
    provider_connections: int = Field(
        100, ge=1, le=10_000, description="requests at once of one worker, to each provider over HTTP"
    )
    provider_urls: dict[str, ProviderUrl] = Field(
        default_factory=dict, description="provider -> the URL that stands for its own, a JSON object"
    )
    provider_codes: dict[str, dict[str, ErrorClassName]] = Field(
        default_factory=dict,
        description="provider -> code of an answer -> what it means, over the built-in tables; a JSON object",
    )
    private_networks: bool = Field(
        False, description="whether URLs that tenants and customers name may lead into private networks"
    )
    circuit_failures: int = Field(
        10, ge=1, le=1_000, description="an account is left alone after so many failures in a row"
    )
    circuit_seconds: float = Field(
        30.0, gt=0, le=3_600, description="for how long; doubled each time that it fails again"
    )

    embeddings_url: EmbeddingsUrl | None = Field(
        None, description="base URL of an API that speaks OpenAI's wire format; else the built-in embedder"
    )
    embeddings_key: SecretStr | None = Field(None, description="the API's key, sent as a bearer token")
    embeddings_model: str = Field(
        "text-embedding-3-small", min_length=1, description="the API's name of a model of 1,536 dimensions"
    )
    embeddings_shorten: bool = Field(
        False, description="ask a model that makes longer vectors for 1,536 dimensions"
    )
    embeddings_batch: int = Field(64, ge=1, le=2_048, description="texts in one request to the API")
    embeddings_seconds: float = Field(
        30.0, gt=0, le=600, description="how long one request of a worker to the API may take"
    )
    embeddings_query_seconds: float = Field(
        1.5, gt=0, le=60, description="how long a search waits for its vector before it goes by words alone"
    )
    embeddings_attempts: int = Field(
        5, ge=1, le=100, description="how often a text is tried that the API fails at"
    )

    embeddings_behaviour_seconds: float = Field(
        3_600.0,
        ge=0,
        le=86_400 * 90,
        description="what a customer does makes the vector anew, but not more often than this; 0 for never",
    )

    event_retention_months: int | None = Field(
        None,
        ge=3,
        le=1_200,
        description="full months of behavioural events that are kept besides the present one; unset keeps all",
    )

    sync_hosts: SyncHosts = Field(
        "",
        description="host:port of databases that tenants' sources may lead to, with commas; * stands for anything",
    )
    sync_directory: str | None = Field(
        None, min_length=1, description="where tenants' files for the sync lie, in directories of their ids"
    )
    sync_sources: int = Field(
        4, ge=1, le=100, description="data sources that one worker works on at once; each takes one thread"
    )

    worker_threads: int = Field(
        16, ge=2, le=1_000, description="wake-ups that one worker serves at once; each channel takes one"
    )
    lease_seconds: float = Field(
        120.0, ge=1, le=86_400, description="after so long, what a dead worker had claimed is taken up again"
    )
    dispatch_part_members: int = Field(
        5_000,
        ge=1,
        le=1_000_000,
        description="members of one part of a dispatch; a larger audience is divided among workers",
    )
    send_seconds: float = Field(
        30.0, gt=0, le=3_600, description="how long one message may take; at most half of lease_seconds"
    )
    send_attempts: int = Field(10, ge=1, le=100, description="how often one message is tried at most")
    retry_seconds: float = Field(
        10.0, gt=0, le=3_600, description="about how long the second attempt waits; the next ones double it"
    )

    listen: ListenAddress = Field(
        "127.0.0.1:50051", description="host:port of the gRPC server; port 0 picks one"
    )
    advertise_host: str | None = Field(
        None, min_length=1, description="host at which others reach this server; else that of LEO_LISTEN"
    )
    processes: int = Field(1, ge=1, le=256, description="server processes that share the port")
    metrics_listen: ListenAddress | None = Field(
        None,
        description="host:port of /metrics and /healthz, plain HTTP; they are served only when it is set",
    )
    webhook_listen: ListenAddress | None = Field(
        None,
        description="host:port of the providers' webhooks, plain HTTP; they are taken only when it is set",
    )
    auth_issuer: Issuer | None = Field(
        None, description="trusted issuer: a realm's URL, or the URL right above the realms"
    )
    auth_audience: str | None = Field(
        None, min_length=1, description="what `aud` or `azp` of a token must name"
    )
    auth_jwks: Jwks | None = Field(
        None, description="JWKS file or URL; `{realm}` in a URL stands for the token's realm"
    )

    database_minimum_connections: int = Field(2, ge=0, le=1_000)
    database_maximum_connections: int = Field(10, ge=1, le=1_000)
    max_message_bytes: int = Field(16 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024)
    maximum_queue_ms: int = Field(
        250,
        ge=1,
        le=60_000,
        description="while more work than this waits for a decision, further calls are refused",
    )
    maximum_in_flight_bytes: int = Field(
        256 * 1024 * 1024, ge=1024 * 1024, description="bytes of requests that one process works on at once"
    )
    maximum_calls: int = Field(
        10_000, ge=1, description="calls at once of one process, streams included; gRPC refuses further ones"
    )
    default_deadline_ms: int = Field(30_000, ge=1, description="for unary calls that bring no deadline")
    maximum_deadline_ms: int = Field(
        300_000, ge=1, description="longer deadlines of unary calls are cut to this"
    )
    longest_stream_ms: int = Field(
        3_600_000, ge=1, description="streams end after this; clients open a new one"
    )
    drain_seconds: float = Field(
        20.0, ge=0, le=3_600, description="how long running calls may finish at stop"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("credential_keys_file")
    @classmethod
    def _keys_are_read(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if info.data.get("credential_keys") is not None:
            raise ValueError("give either this or LEO_CREDENTIAL_KEYS")
        try:
            text = Path(value).read_text("ascii")
        except (OSError, UnicodeError):
            raise ValueError("must be the path of a file that this process can read") from None
        _credential_keys(SecretStr(text))
        return value

    @property
    def credential_keys_text(self) -> SecretStr | None:
        """The keys, from wherever they were given."""
        if self.credential_keys_file is None:
            return self.credential_keys
        return SecretStr(Path(self.credential_keys_file).read_text("ascii"))

    @property
    def sync_host_patterns(self) -> list[str]:
        """The patterns of `sync_hosts`, one by one."""
        return _parts(self.sync_hosts)

    @field_validator("send_seconds")
    @classmethod
    def _lease_outlasts_sending(cls, value: float, info: ValidationInfo) -> float:
        if value * 2 > info.data.get("lease_seconds", value * 2):
            raise ValueError("must be at most half of LEO_LEASE_SECONDS")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments of the constructor win over the environment; the file is merged by `load_settings`."""
        return init_settings, env_settings


class ServerSettings(Settings):
    """What `leo serve` needs."""

    database_url: PostgresUrl = Field(description="PostgreSQL as leo_app")
    redis_url: RedisUrl = Field(description="Redis for reservations and rate limits")
    auth_issuer: Issuer = Field(description="trusted issuer")
    auth_audience: str = Field(min_length=1, description="what `aud` or `azp` of a token must name")
    auth_jwks: Jwks = Field(description="JWKS file or URL")


class WorkerSettings(Settings):
    """What `leo worker` needs."""

    database_url: PostgresUrl = Field(description="PostgreSQL as leo_worker")
    redis_url: RedisUrl = Field(description="Redis for reservations and rate limits")
    broker_url: BrokerUrl = Field(description="Celery's broker")


KindOfSettings = TypeVar("KindOfSettings", bound=Settings)


def load_settings(
    kind: type[KindOfSettings], overrides: Mapping[str, Any] = MappingProxyType({})
) -> KindOfSettings:
    """Reads the environment and the file once.

    Args:
        kind: which process asks: `ServerSettings`, `WorkerSettings`, or `Settings` if it needs nothing.
        overrides: settings by name that the command line gave; they win, but for those that are None.

    Raises:
        ConfigurationError: all faults together, each with its variable.
    """
    file_values = _read_file(os.environ.get(f"{_PREFIX}CONFIG"))
    given = {name for name in kind.model_fields if os.environ.get(f"{_PREFIX}{name.upper()}")}
    values = {name: value for name, value in file_values.items() if name not in given}
    told = {name: value for name, value in overrides.items() if value is not None}
    try:
        return kind(**(values | told))
    except ValidationError as error:
        raise ConfigurationError(_describe(error)) from None


def _read_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"LEO_CONFIG: the file can not be read: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError("LEO_CONFIG: the file is not TOML in UTF-8") from None


def _describe(error: ValidationError) -> str:
    faults = [_fault(str(fault["loc"][0]), fault["type"], fault["msg"]) for fault in error.errors()]
    return "the configuration has faults:\n" + "\n".join(f"  {fault}" for fault in faults)


def _fault(name: str, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"{name} in the file of LEO_CONFIG: there is no such setting"
    if kind == "missing":
        return f"{_PREFIX}{name.upper()}: is required"
    return f"{_PREFIX}{name.upper()}: {message.removeprefix('Value error, ')}"
