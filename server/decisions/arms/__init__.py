"""Experiments at decision time: which variant a profile falls to, and who is held out."""
