"""What holds while processes are killed: of decisions under load, and of deliveries in the demo. `make faults`."""
