"""The one way in which reading a file fails."""

from __future__ import annotations


class FileNotReadable(Exception):
    """A file that is not there, of no known kind, or not good; the text names the cure and nothing that it holds."""
