"""Fixtures of the whole suite: real servers, a fresh database for each test, tenants and tokens.

| fixture | what a test gets |
|---|---|
| `database` | URLs of a database of its own, one per role: `.app_url .worker_url .admin_url .owner_url …` |
| `app`, `proof` | connections to it: as the servers' role, and as the role that bypasses row-level security |
| `tenant_a`, `tenant_b` | two tenants in it; each is its UUID, with `.name`, `.realm` and `.client_id` |
| `redis_url`, `broker_url` | an empty Redis each |
| `own_redis` | a Redis of the test alone, to stop, kill and start |
| `mailbox`, `smtp_url` | an SMTP server, and what it received |
| `token_for(tenant, scopes)` | a signed token; `jwks_path`, `issuer` and `audience` verify it |
| `running_server`, `channel` | the address of the real server, in this process, and a channel to it |
| `client_for(tenant, scopes)` | a `LeoClient` of it |
| `settings` | the configuration that it starts with; override it to change one value |
| `logged` | what the test has logged so far |

PostgreSQL starts once for the run, when the first test asks for it. `LEO_DATABASE_URL` (a superuser's),
`LEO_REDIS_URL` and `LEO_BROKER_URL` run the suite against real servers instead.
"""

pytest_plugins = [
    "tests.fixtures.run",
    "tests.fixtures.database",
    "tests.fixtures.redis",
    "tests.fixtures.rabbitmq",
    "tests.fixtures.mail",
    "tests.fixtures.tenants",
    "tests.fixtures.tokens",
    "tests.fixtures.server",
    "tests.fixtures.logs",
    "tests.fixtures.figures",
]
