"""Decisions while everything they stand on is killed. `make faults` runs it."""
