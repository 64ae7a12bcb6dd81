"""Streams ticks to LEO Activation, and goes on where it was cut off."""

from feeder.bars import Tick, read_bars
from feeder.feeding import Feeder, Summary
from feeder.position import Position

__all__ = ["Feeder", "Position", "Summary", "Tick", "read_bars"]
