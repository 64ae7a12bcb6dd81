"""Prices and alerts: rules that wait for a price, ticks that bring it, and what fires."""
