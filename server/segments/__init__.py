"""Segments: who is in which named audience, kept up to date; entering and leaving are events."""
