"""Without Redis the log answers; when it is back, the counters do."""

from __future__ import annotations

import pytest
from leo.activation.v1 import report_service_pb2 as wire

from server.config import ServerSettings
from server.embedded.redis_server import RedisServer
from server.errors import Unavailable
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from tests.dispatch.decided import Decisions
from tests.fixtures.tenants import Tenant
from tests.reports.conftest import Counting, GetMetrics


@pytest.fixture
def settings(settings: ServerSettings, own_redis: RedisServer) -> ServerSettings:
    """A server whose Redis the test may stop."""
    return ServerSettings.model_validate({**settings.model_dump(), "redis_url": own_redis.url})


async def test_the_log_answers_while_redis_is_stopped(
    decisions: Decisions,
    worker_database: Database,
    own_redis: RedisServer,
    metrics: GetMetrics,
    tenant_a: Tenant,
) -> None:
    redis = await RedisPool.connect(own_redis.url, client_name="test-worker")
    counting = Counting(worker_database, redis)
    definitions = await decisions.define(tenant_a)
    await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    await counting.begin()
    sources = [(await metrics(tenant_a)).source]

    own_redis.stop()
    await decisions.send(definitions, "lan")
    with pytest.raises(Unavailable):
        await counting.count()
    stopped = await metrics(tenant_a)
    own_redis.start()
    await counting.begin()
    back = await metrics(tenant_a)

    sources += [stopped.source, back.source]
    assert sources == [
        wire.METRICS_SOURCE_CACHE,
        wire.METRICS_SOURCE_DATABASE,
        wire.METRICS_SOURCE_CACHE,
    ]
    assert [answer.metrics[0].queued for answer in (stopped, back)] == [2, 2]
    await redis.close()
