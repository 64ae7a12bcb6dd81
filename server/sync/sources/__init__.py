"""The kinds of source that can be followed, each behind the same interface."""
