"""Workers are killed at random moments and at named steps of their deliveries. `make faults-deliveries KILLS=n`."""
