"""The stack that needs no Docker and no root: PostgreSQL, two Redis, a mailbox and a token issuer."""
