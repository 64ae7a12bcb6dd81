"""What every slice stands on: database, Redis, logs, ids. It knows no slice."""
