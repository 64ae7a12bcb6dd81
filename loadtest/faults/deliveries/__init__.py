"""The main job while its processes are killed, each once. `make faults-deliveries` runs it."""
