"""The main job while its processes are killed, each once. `make faults` runs it."""
