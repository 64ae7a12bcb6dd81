"""Streams ticks to LEO Activation, and goes on where it was cut off."""

from feeder.bars import read_bars
from feeder.feeding import Answer, Feeder, Summary
from feeder.position import Position
from feeder.sources import Recorded, Source
from feeder.ticks import Tick

__all__ = ["Answer", "Feeder", "Position", "Recorded", "Source", "Summary", "Tick", "read_bars"]
