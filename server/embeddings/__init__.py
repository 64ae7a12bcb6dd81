"""Vectors of texts: what makes them, and the jobs that give them to news and profiles."""
