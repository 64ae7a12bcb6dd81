"""What the SQL promises beyond agreement: parameters only, the tenant's own rows, indexes, equal sines."""

from __future__ import annotations

import random
from uuid import UUID

import asyncpg
import pytest

from server.conditions import compile_sql, parse
from server.conditions.geography import centre_cosine, haversine, haversine_sql
from server.conditions.values import Circle
from server.embedded.database_setup import DatabaseUrls
from server.errors import InvalidInput
from tests.conditions.grid import leaf
from tests.conditions.strategies import AT
from tests.fixtures.tenants import Tenant

NANOS = 1_000_000_000


async def enter(connection: asyncpg.Connection, tenant: UUID) -> None:
    await connection.execute("select set_config('app.current_tenant_id', $1, false)", str(tenant))


async def add_profiles(connection: asyncpg.Connection, tenant: UUID, count: int) -> None:
    """Every hundredth is a vip from Vietnam."""
    await enter(connection, tenant)
    await connection.execute(
        "insert into cdp_profiles (tenant_id, profile_id, ext_id, segments, raw_attributes)"
        " select $1, 'p' || n, 'x' || n,"
        "  jsonb_build_array('all', case when n % 100 = 0 then 'vip' else 'new' || n % 50 end),"
        "  jsonb_build_object('country', case when n % 100 = 0 then 'VN' else 'C' || n % 50 end)"
        " from generate_series(1, $2) n",
        tenant,
        count,
    )


def test_a_segment_has_no_triggering_event() -> None:
    tree = {
        "all": [
            leaf("segment", "contains", "vip"),
            {"any": [{"not": leaf("event.amount", ">", 1)}, leaf("event.type", "==", "purchase")]},
            leaf("event.occurred_at", "exists", True),
        ]
    }
    with pytest.raises(InvalidInput) as refused:
        compile_sql(parse(tree), at=AT)
    assert [violation.field for violation in refused.value.violations] == [
        "$.all[1].any[0].not.attribute",
        "$.all[1].any[1].attribute",
        "$.all[2].attribute",
    ]


def test_values_and_names_travel_as_parameters_only() -> None:
    tree = {
        "any": [
            leaf("profile.key_qqq", "==", "value_qqq"),
            leaf("profile.key_qqq", "glob", "*'qqq%"),
            leaf("segment", "contains_any", ["'qqq", "qqq"]),
            leaf("market.'qqq.price", "in", [7654321]),
            leaf("sum(qqq.qqq, 7654321s)", ">", 7654321),
            leaf("profile.location", "within_km", {"latitude": 7.654321, "longitude": 7, "km": 76}),
        ]
    }
    fragment = compile_sql(parse(tree), at=AT, first_parameter=5)
    assert "qqq" not in fragment.text
    assert "7654" not in fragment.text
    assert "$4" not in fragment.text
    assert f"${4 + len(fragment.parameters)}:" in fragment.text
    assert f"${5 + len(fragment.parameters)}:" not in fragment.text


async def test_a_tenants_own_price_comes_before_the_shared_one(
    app: asyncpg.Connection, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    a, b = UUID(int=tenant_a.int), UUID(int=tenant_b.int)
    await proof.executemany(
        "insert into market_snapshot (tenant_id, symbol, price_nanos) values ($1, $2, $3)",
        [(None, "VNM", NANOS), (a, "VNM", 2 * NANOS), (b, "VNM", 3), (None, "FPT", 4 * NANOS), (b, "HPG", 5)],
    )
    await add_profiles(app, a, 1)
    for rule, expected in (
        (leaf("market.VNM.price", "==", 2), 1),
        (leaf("market.FPT.price", "==", 4), 1),
        (leaf("market.HPG.price", "exists", True), 0),
    ):
        fragment = compile_sql(parse(rule), at=AT)
        count = await app.fetchval(
            f"select count(*) from cdp_profiles p where {fragment.text}", *fragment.parameters
        )
        assert count == expected


@pytest.mark.parametrize(
    ("rule", "index"),
    [
        (leaf("segment", "contains", "vip"), "cdp_profiles_segments"),
        (leaf("segment", "contains_any", ["vip", "nobody"]), "cdp_profiles_segments"),
        (leaf("profile.country", "==", "VN"), "cdp_profiles_attributes"),
        (leaf("profile.ext_id", "in", ["x1", "x2"]), "cdp_profiles_ext_id"),
    ],
)
async def test_selective_rules_use_their_index(
    database: DatabaseUrls,
    app: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
    rule: dict[str, object],
    index: str,
) -> None:
    for tenant in (tenant_b, tenant_a):
        await add_profiles(app, UUID(int=tenant.int), 5_000)
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("analyze cdp_profiles")
    await owner.close()
    fragment = compile_sql(parse({"all": [rule, leaf("profile.latitude", "exists", False)]}), at=AT)
    plan = await app.fetch(
        f"explain select p.profile_id from cdp_profiles p where {fragment.text}", *fragment.parameters
    )
    assert index in "\n".join(line[0] for line in plan)


async def test_both_worlds_compute_the_same_haversine_to_the_last_bit(app: asyncpg.Connection) -> None:
    seeded = random.Random(5)
    places = [(seeded.uniform(-90, 90), seeded.uniform(-180, 180)) for _ in range(2_000)]
    for circle in (Circle(10.77, 106.69, 5), Circle(0, 0, 1), Circle(-89.999, 180, 1)):
        centre = (circle.latitude, circle.longitude, centre_cosine(circle))
        expression = haversine_sql("latitude", "longitude", ("$3::float8", "$4::float8", "$5::float8"))
        rows = await app.fetch(
            f"select {expression} from unnest($1::float8[], $2::float8[]) place(latitude, longitude)",
            *zip(*places, strict=True),
            *centre,
        )
        assert [row[0] for row in rows] == [haversine(*place, circle) for place in places]
