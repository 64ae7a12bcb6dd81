"""Decisions while everything they stand on is killed. `make faults-decisions` runs it."""
