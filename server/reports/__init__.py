"""What was sent, in numbers: counters that follow the delivery log, and the log where they can not be had."""
