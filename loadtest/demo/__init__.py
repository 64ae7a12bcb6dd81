"""The main job on real purchases: Decide, Snapshot, Dispatch, mail. `make demo` runs it."""
