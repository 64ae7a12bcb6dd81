"""Accounts at providers: encrypted in PostgreSQL, renewed under a lock, found by tenant and channel."""
