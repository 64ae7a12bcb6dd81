"""Bad input to every RPC that the running server describes: refused with a fitting status, and nothing changes.

The RPCs come from the server's own reflection, so that a new one can not escape: without a sample it fails here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc
import jwt
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from leo.activation.v1 import options_pb2

from server.embedded.token_issuer import AUDIENCE, ISSUER, TokenIssuer
from tests.fixtures.logs import LogReader
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.rpc.samples import BUILDS_ON, ENDLESS, MARK, PLANTED, SAMPLES
from tests.rpc.spoiling import spoiled, stretched

Code = grpc.StatusCode
REFUSED = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.RESOURCE_EXHAUSTED}
FOR_EXTREMES = {Code.OK, *REFUSED, Code.FAILED_PRECONDITION, Code.ALREADY_EXISTS}
GARBAGE = (b"\xff\xff\xff\xff", b"\x0a\xff\x01", b"\x0a\x02\xc3\x28", bytes(range(256)))
Plant = Callable[[str], Awaitable[Mapping[str, Any]]]
each_service = pytest.mark.parametrize("service", SAMPLES)


@dataclass(frozen=True)
class Answer:
    """How a call ended.

    Args:
        code: OK, or why not.
        raw: the bytes of the answers.
    """

    code: grpc.StatusCode
    raw: bytes


class Caller:
    """Calls any RPC with any bytes.

    Args:
        channel: to the running server.
        token: of the tenant that the samples belong to.
        log: what the server logs meanwhile.
        plant: writes what the samples of a service need and no RPC makes.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str, log: LogReader, plant: Plant) -> None:
        self._channel = channel
        self.plant = plant
        self.token = token
        self.log = log

    async def call(self, method: MethodDescriptor, raw: bytes, token: str | None = "") -> Answer:
        """One call with one message; `token` None sends none, and empty the good one."""
        metadata = () if token is None else bearer(token or self.token)
        kind = (
            ("stream" if method.client_streaming else "unary")
            + "_"
            + ("stream" if method.server_streaming else "unary")
        )
        make = getattr(self._channel, kind)
        call = make(f"/{method.containing_service.full_name}/{method.name}")
        while True:
            running = call(iter([raw]) if method.client_streaming else raw, metadata=metadata, timeout=60)
            try:
                if method.name in ENDLESS:
                    first = await anext(aiter(running))
                    running.cancel()
                    return Answer(Code.OK, first)
                if method.server_streaming:
                    return Answer(Code.OK, b"".join([part async for part in running]))
                return Answer(Code.OK, await running)
            except grpc.aio.AioRpcError as error:
                # A refusal that comes before the message is written is lost in the client: leo_client/errors.py.
                if "Internal error from Core" not in (error.details() or ""):
                    return Answer(error.code(), b"")


def methods_of(service: str) -> list[MethodDescriptor]:
    """The RPCs of a service, in the order of the samples."""
    descriptor = descriptor_pool.Default().FindServiceByName(service)
    return [descriptor.methods_by_name[name] for name in SAMPLES[service]]


def all_scopes() -> list[str]:
    """Every scope that an RPC with a sample asks for."""
    return sorted({scope_of(method) for service in SAMPLES for method in methods_of(service)})


def scope_of(method: MethodDescriptor) -> str:
    """The scope that the RPC asks for."""
    return str(method.GetOptions().Extensions[options_pb2.required_scope])


@pytest.fixture
async def caller(
    channel: grpc.aio.Channel,
    token_issuer: TokenIssuer,
    tenant_a: Tenant,
    logged: LogReader,
    app: asyncpg.Connection,
) -> Caller:
    async def plant(service: str) -> Mapping[str, Any]:
        return await PLANTED[service](app, tenant_a) if service in PLANTED else {}

    token = token_issuer.issue(client_id=tenant_a.client_id, scopes=all_scopes())
    return Caller(channel, token, logged, plant)


async def put_samples(caller: Caller, service: str) -> dict[str, Message]:
    """Calls every sample of what the service builds on, then its own; they must be good. Returns its requests."""
    requests: dict[str, Message] = {}
    answers: dict[str, Any] = {}
    services = (*BUILDS_ON.get(service, ()), service)
    for name in services:
        answers.update(await caller.plant(name))
    for method in [method for name in services for method in methods_of(name)]:
        request = SAMPLES[method.containing_service.full_name][method.name](answers)
        answer = await caller.call(method, request.SerializeToString())
        assert answer.code is Code.OK, f"the sample of {method.name} gets {answer}:\n{caller.log.text()}"
        requests[method.name] = request
        if not method.server_streaming:
            answers[method.name] = GetMessageClass(method.output_type).FromString(answer.raw)
    return {method.name: requests[method.name] for method in methods_of(service)}


async def fingerprint(proof: asyncpg.Connection) -> dict[str, str]:
    """Count and hash of every table, whoever's rows they are."""
    tables = await proof.fetch(
        "select format('%I', relname) as name from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"
        " and relname <> 'schema_migrations'"
    )
    return {
        table["name"]: await proof.fetchval(
            f"select count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' order by t::text)), '')"
            f" from {table['name']} t"
        )
        for table in tables
    }


async def test_every_rpc_of_the_running_server_has_a_sample(channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    services: set[str] = set()
    async for response in stub.ServerReflectionInfo(iter([request])):
        services = {service.name for service in response.list_services_response.service}
    pool = descriptor_pool.Default()
    described = {
        f"{name}/{method.name}"
        for name in services
        if not name.startswith("grpc.")
        for method in pool.FindServiceByName(name).methods
    }
    assert described == {f"{service}/{name}" for service, samples in SAMPLES.items() for name in samples}


@each_service
async def test_spoiled_requests_are_refused_and_change_nothing(
    caller: Caller, proof: asyncpg.Connection, service: str
) -> None:
    requests = await put_samples(caller, service)
    before = await fingerprint(proof)
    wrong = []
    for method in methods_of(service):
        for bad in spoiled(requests[method.name]):
            answer = await caller.call(method, bad.message.SerializeToString())
            allowed = REFUSED | {Code.OK} if bad.answered_each else REFUSED
            if answer.code not in allowed:
                wrong.append(f"{method.name}: {bad.what}: {answer.code.name}")
    assert wrong == []
    assert await fingerprint(proof) == before


@each_service
async def test_empty_requests_and_garbage_change_nothing(
    caller: Caller, proof: asyncpg.Connection, service: str
) -> None:
    before = await fingerprint(proof)
    wrong = []
    for method in methods_of(service):
        reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        empty = await caller.call(method, b"")
        if empty.code not in (REFUSED | {Code.OK} if reads else REFUSED):
            wrong.append(f"{method.name}: empty: {empty.code.name}")
        for garbage in GARBAGE:
            answer = await caller.call(method, garbage)
            if answer.code is not Code.INVALID_ARGUMENT:
                wrong.append(f"{method.name}: {garbage[:4]!r}: {answer.code.name}")
    assert wrong == []
    assert await fingerprint(proof) == before


def bad_tokens(issuer: TokenIssuer, tenant: Tenant) -> Iterator[tuple[str, str | None, grpc.StatusCode]]:
    """Tokens that open nothing, and the status that each gets."""
    key = (issuer.jwks_path.parent / "signing-key.pem").read_text()
    key_id = json.loads(issuer.jwks_path.read_text())["keys"][0]["kid"]
    now = int(time.time())
    good: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "azp": tenant.client_id,
        "sub": "x",
        "scope": " ".join(all_scopes()),
        "exp": now + 600,
    }

    def sign(**changes: Any) -> str:
        return jwt.encode({**good, **changes}, key, algorithm="RS256", headers={"kid": key_id})

    refused, denied = Code.UNAUTHENTICATED, Code.PERMISSION_DENIED
    yield "no token", None, refused
    yield "no JWT", "abc", refused
    yield "expired", sign(exp=now - 1), refused
    yield "not yet valid", sign(nbf=now + 3_600), refused
    yield "wrong issuer", sign(iss="https://evil.example.com/realms/leo"), refused
    yield "wrong audience", sign(aud="other"), refused
    yield "unsigned", jwt.encode(good, None, algorithm="none", headers={"kid": key_id}), refused
    yield "symmetric", jwt.encode(good, "k" * 32, algorithm="HS256", headers={"kid": key_id}), refused
    yield "changed", sign()[:-10] + "A" * 10, refused
    yield "no scope", sign(scope=""), denied
    yield "other scope", sign(scope="nothing.read"), denied


@each_service
async def test_bad_tokens_open_nothing(
    caller: Caller, proof: asyncpg.Connection, token_issuer: TokenIssuer, tenant_a: Tenant, service: str
) -> None:
    requests = await put_samples(caller, service)
    before = await fingerprint(proof)
    wrong = []
    for method in methods_of(service):
        tokens = [*bad_tokens(token_issuer, tenant_a)]
        others = [scope for scope in all_scopes() if scope != scope_of(method)]
        scoped = token_issuer.issue(client_id=tenant_a.client_id, scopes=others)
        tokens.append(("every other scope", scoped, Code.PERMISSION_DENIED))
        if scope_of(method) != "admin":
            nobody = token_issuer.issue(client_id="nobody", scopes=all_scopes())
            tokens.append(("no tenant", nobody, Code.PERMISSION_DENIED))
        for what, token, code in tokens:
            for raw in (requests[method.name].SerializeToString(), GARBAGE[0]):
                answer = await caller.call(method, raw, token)
                if answer.code is not code:
                    wrong.append(f"{method.name}: {what}: {answer.code.name}")
    assert wrong == []
    assert await fingerprint(proof) == before


@each_service
async def test_another_tenant_reads_and_changes_nothing(
    caller: Caller,
    proof: asyncpg.Connection,
    token_issuer: TokenIssuer,
    tenant_a: Tenant,
    tenant_b: Tenant,
    service: str,
) -> None:
    if service.endswith("TenantService"):
        pytest.skip("administrators have no tenant; its isolation is that no tenant has the scope")
    requests = await put_samples(caller, service)
    before = await rows_of(proof, tenant_a)
    assert any(MARK in rows for rows in before.values())
    token_b = token_issuer.issue(client_id=tenant_b.client_id, scopes=all_scopes())
    wrong = []
    for method in methods_of(service):
        if method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS:
            answer = await caller.call(method, requests[method.name].SerializeToString(), token_b)
            # Some name what they are about in a field, which is at fault where the tenant has no such thing.
            shows_nothing = {Code.OK, Code.NOT_FOUND, Code.INVALID_ARGUMENT}
            if answer.code not in shows_nothing or MARK.encode() in answer.raw:
                wrong.append(f"{method.name}: {answer}")
    for method in methods_of(service):
        answer = await caller.call(method, requests[method.name].SerializeToString(), token_b)
        if answer.code not in FOR_EXTREMES:
            wrong.append(f"{method.name}: {answer}")
    assert wrong == []
    assert await rows_of(proof, tenant_a) == before


async def rows_of(proof: asyncpg.Connection, tenant: Tenant) -> dict[str, str]:
    """All rows of a tenant, as text, by table."""
    return {
        table: await proof.fetchval(
            f"select coalesce(string_agg(t::text, ',' order by t::text), '') from {table} t"
            " where tenant_id = $1",
            tenant,
        )
        for table in await fingerprint(proof)
        if await proof.fetchval(
            "select exists (select from information_schema.columns"
            " where table_schema = 'public' and table_name = $1 and column_name = 'tenant_id')",
            table,
        )
    }


@each_service
async def test_numbers_at_the_ends_of_their_range_are_no_internal_fault(caller: Caller, service: str) -> None:
    requests = await put_samples(caller, service)
    wrong = []
    for method in methods_of(service):
        for bad in stretched(requests[method.name]):
            answer = await caller.call(method, bad.message.SerializeToString())
            if answer.code not in FOR_EXTREMES:
                wrong.append(f"{method.name}: {bad.what}: {answer.code.name}")
    assert wrong == []
