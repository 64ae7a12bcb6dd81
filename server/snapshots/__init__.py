"""Snapshots: audiences that are frozen for good, so that "whom did we mean?" keeps its answer."""
