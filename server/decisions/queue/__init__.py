"""What waits for a decision: how it becomes batches, and what is told to come back."""
