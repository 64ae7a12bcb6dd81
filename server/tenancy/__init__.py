"""Tenants: the boundary of isolation, kept by administrators."""
