"""What may happen, and why: campaigns, marketing events, message templates, experiments, instruments."""
