"""The channels that messages leave by: one file each, behind one interface."""
