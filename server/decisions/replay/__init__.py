"""Replay: what was decided, decided again and compared; and why each candidate came to its reason."""
