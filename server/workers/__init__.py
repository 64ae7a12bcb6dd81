"""The worker process: Celery's wake-ups, one event loop, and the schedule."""
