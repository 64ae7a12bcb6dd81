"""What experiments have measured: counters that decisions draw by and people read, derived from the facts."""
