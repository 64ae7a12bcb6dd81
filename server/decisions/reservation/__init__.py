"""Reservations: cooldowns and caps in event time, held for a batch by Redis or by PostgreSQL."""
