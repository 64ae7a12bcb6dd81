"""Market news: taken in, linked with instruments, and found again."""
