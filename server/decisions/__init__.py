"""Decide: the pure choice of one action for one event, and the durable batch pipeline around it."""
