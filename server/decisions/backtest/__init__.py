"""Backtest: what a draft would have done with what happened."""
